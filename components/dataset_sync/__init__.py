"""Mirrors a folder or bucket of labelled clips and publishes a snapshot of it."""
