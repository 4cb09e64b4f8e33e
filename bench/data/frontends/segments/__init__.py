"""Log-mel spectrograms of the segments of a cycle, as PANNs make them."""
