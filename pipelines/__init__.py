"""Pipelines: one DAG per project, the backends that run them, and the command line."""
