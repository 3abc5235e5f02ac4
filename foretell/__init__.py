"""Foretell: self-supervised learning from one's own data."""

__version__ = "0.1.0"
