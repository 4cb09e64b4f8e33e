"""Trained models as files that run without this package: traced programs, ONNX, and weights by themselves."""
