"""Linear probe of a frozen encoder."""
