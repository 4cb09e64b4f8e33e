"""The front-end of LungAttn: a cycle in three parts by two tunable-Q wavelet transforms, each part drawn."""
