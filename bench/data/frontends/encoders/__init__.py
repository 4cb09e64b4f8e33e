"""Front-ends of audio encoders that were pretrained elsewhere: what their feature extractors make of a waveform."""
