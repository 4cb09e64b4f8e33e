"""Front-ends of LungBRN and LungRN+NL: a spectrogram and a wavelet decomposition, each drawn as a picture."""
