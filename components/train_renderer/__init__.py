"""Trains networks that render photographs from coloured points and nearby photographs."""
