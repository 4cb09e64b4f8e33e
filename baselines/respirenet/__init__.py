"""RespireNet (Gairola et al. 2021): ResNet34 with a classifier of three layers."""
