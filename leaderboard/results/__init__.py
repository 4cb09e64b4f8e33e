"""Results as files: run folders, predictions, submissions and bundles."""
