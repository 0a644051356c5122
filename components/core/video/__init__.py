"""Decoding, sampling, probing and writing of video clips (PyAV)."""
