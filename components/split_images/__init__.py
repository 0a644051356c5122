"""Assigns annotated images to train, val and test: by recording, by look, or as the source does."""
