"""Mixup of chosen pairs of classes beside the clean batch, with binary cross-entropy."""
