"""Measurements that are too long for the tests: how often intervals hold the truth."""
