"""Co-Tuning."""
