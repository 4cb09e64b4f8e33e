"""The small inception network of the late fusion (Pham et al. 2022)."""
