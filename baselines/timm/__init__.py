"""Convolutional networks and others that timm builds."""
