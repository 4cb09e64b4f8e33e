"""Patch-Mix: tokens of two clips are mixed."""
