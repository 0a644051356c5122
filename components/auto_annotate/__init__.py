"""Draws a detector's boxes on images that nobody has labelled, for a person to verify."""
