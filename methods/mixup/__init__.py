"""Mixup and CutMix: spectrograms of two clips are mixed."""
