"""Evaluates a detector of NVIDIA TAO."""
