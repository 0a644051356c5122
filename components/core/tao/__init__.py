"""NVIDIA TAO: projects as people keep them, their specifications, and the programs of the image."""
