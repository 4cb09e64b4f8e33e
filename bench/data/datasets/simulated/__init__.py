"""The simulated data set, which has the file layout of ICBHI."""
