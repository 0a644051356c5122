"""Trains a network that tells classes of clips apart."""
