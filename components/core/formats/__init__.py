"""File formats of other tools: reading and writing, without what a stage does with them."""
