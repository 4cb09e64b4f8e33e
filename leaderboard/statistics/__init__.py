"""Statistics of the board: intervals over patients and seeds, ranks that the data leave open, paired comparisons."""
