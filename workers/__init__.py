"""Process entry points: one module per kind of worker, wiring only."""
