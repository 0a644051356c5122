"""Dividing whole groups of items among train, val and test, close to what each part should get."""
