"""Figures of evaluations and their uncertainty, from numpy arrays."""
