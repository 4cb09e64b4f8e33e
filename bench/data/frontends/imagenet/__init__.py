"""Spectrograms as pictures for networks that were pretrained on ImageNet."""
