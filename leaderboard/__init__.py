"""What is remembered and shown: metrics, predictions, store, tables. Imports no torch and no other package."""
