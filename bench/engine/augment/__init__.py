"""Augmentation of waveforms and spectrograms, and its options."""
