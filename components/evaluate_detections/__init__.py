"""Evaluates a trained detector on a part of the data: COCO's figures, thresholds, report."""
