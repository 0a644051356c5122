"""Evaluates networks that render photographs."""
