"""Exports a detector of NVIDIA TAO."""
