"""The ICBHI 2017 respiratory sound database: its files, their checks, its official split."""
