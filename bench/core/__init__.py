"""The ground floor: what every other package may import, and what imports nothing of this project. No torch."""
