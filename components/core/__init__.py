"""Shared domain code: artifacts, storage, video, models, training, metrics. Imports no kfp."""
