"""The residual networks of LungBRN and LungRN+NL."""
