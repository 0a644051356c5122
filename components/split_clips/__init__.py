"""Assigns clips to train, val and test: stratified, grouped, seeded."""
