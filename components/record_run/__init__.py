"""Records in the registry what a run has published, and sums the run up."""
