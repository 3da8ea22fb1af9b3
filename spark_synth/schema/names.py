"""Column names in Spark SQL: any character may occur in them, so they are always quoted."""

from __future__ import annotations


def quote(name: str) -> str:
    """The name between backticks, which Spark reads as one identifier whatever dots or spaces it holds."""
    return "`" + name.replace("`", "``") + "`"
