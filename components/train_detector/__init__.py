"""Trains networks that find objects in images."""
