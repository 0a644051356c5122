"""Hyper-parameter search over the settings of a trainer."""
