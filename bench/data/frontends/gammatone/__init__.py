"""Front-end ``gammatone``: patches of gammatone or mel spectrograms, several for each cycle."""
