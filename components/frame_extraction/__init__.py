"""Decodes, samples and resizes the clips of a data set and packs them for training."""
