"""What can be done with the benchmark, as functions: the commands call them, and :mod:`bench` offers them to Python."""
