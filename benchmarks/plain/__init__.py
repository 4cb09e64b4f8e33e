"""The plain references: the same work as the authors' code does it, written anew in the plainest way."""
