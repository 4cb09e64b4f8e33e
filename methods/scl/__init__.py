"""Supervised contrastive learning."""
