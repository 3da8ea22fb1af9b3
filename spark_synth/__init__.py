"""Synthetic copies of relational databases on Spark."""

__version__ = "0.1.0"
