"""CNN6, CNN10 and CNN14 of the PANNs."""
