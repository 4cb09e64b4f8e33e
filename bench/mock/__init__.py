"""``bench mock-run``: the first check of a new model or method, on a tiny simulated set."""
