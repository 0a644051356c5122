"""Builds a TensorRT engine of a detector of NVIDIA TAO."""
