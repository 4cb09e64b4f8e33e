"""What is asked for: specs, recipes, plug-ins, and the rows of the paper as requests."""
