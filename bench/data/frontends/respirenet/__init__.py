"""Front-end ``respirenet``: coloured mel spectrograms of eight seconds (Gairola et al. 2021)."""
