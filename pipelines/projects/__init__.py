"""One DAG per project: parameters and wiring, no logic."""
