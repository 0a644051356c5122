"""Reads from the registry what a task wants: sources, classes, sizes of the parts, name."""
