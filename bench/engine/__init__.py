"""The training engine: augmentation, optimisation and the loop."""
