"""Two inputs of a cycle: cepstral coefficients and a log-mel spectrogram."""
