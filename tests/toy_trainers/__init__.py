"""Trainers that only tests use: quick, and right about what they learn."""
