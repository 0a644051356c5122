"""Converts the data set of a TAO experiment into records."""
