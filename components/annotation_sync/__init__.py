"""Brings annotated images from files, CVAT or the annotation database into one data set."""
