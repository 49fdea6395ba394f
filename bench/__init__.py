"""Measurements: how fast each part is, by the same method on every machine. Nothing imports this package."""
