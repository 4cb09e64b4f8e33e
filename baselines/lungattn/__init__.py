"""The attention-augmented residual network of LungAttn."""
