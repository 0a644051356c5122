"""Evaluates a trained classifier on a part of the data: figures, intervals, report."""
