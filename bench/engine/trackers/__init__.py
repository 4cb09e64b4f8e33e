"""Trackers (TensorBoard, Weights & Biases, MLflow, Trackio) as listeners of a run, by Accelerate's classes."""
