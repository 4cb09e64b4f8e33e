"""Data sets, one folder each: ``card`` holds its registrations, and nothing outside the folder knows its name."""
