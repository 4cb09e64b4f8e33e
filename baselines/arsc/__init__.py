"""The two attention paths of ARSC-Net (Xu et al. 2021)."""
