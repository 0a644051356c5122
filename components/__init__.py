"""Containerised training stages for vision; one folder per stage, shared code in `core`."""

__version__ = "0.1.0"
