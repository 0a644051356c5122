"""Trains a Keras network that tells classes of clips apart."""
