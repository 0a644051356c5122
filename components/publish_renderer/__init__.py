"""Publishes trained renderers where the viewer finds them."""
