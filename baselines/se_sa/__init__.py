"""ResNet18 with squeeze-and-excitation and spatial attention (Yang et al. 2020)."""
