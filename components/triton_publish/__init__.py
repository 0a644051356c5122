"""Publishes a trained model into a Triton model repository."""
