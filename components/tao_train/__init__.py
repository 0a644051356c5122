"""Trains a detector of NVIDIA TAO."""
