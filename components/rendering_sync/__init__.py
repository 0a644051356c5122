"""Brings frames that the Inovis viewer exported into one data set for training renderers."""
