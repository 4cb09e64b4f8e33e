"""What is known of each model, and its options: one file per family, read without importing torch."""
