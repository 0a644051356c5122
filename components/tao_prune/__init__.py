"""Prunes a detector of NVIDIA TAO and retrains it."""
