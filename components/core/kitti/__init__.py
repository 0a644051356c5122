"""KITTI data sets for NVIDIA TAO: checked, laid out, resized, divided and counted."""
