"""Frames of a rendered point cloud with photos of the same place: how they are kept and read."""
