"""Rules that hold in every real row: columns that follow from others, and numbers that never exceed another."""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame

from spark_synth.schema.model import ForeignKey, Table


def find_rules(df: DataFrame, table: Table, owner: ForeignKey | None, seed: int) -> list[dict[str, Any]]:
    """Rules in the order they must be applied to generated rows.

    Each is {"kind": "derived" | "clip", "column", "sql" (a Spark expression over quoted columns), "inputs"}: a derived
    column is left out of the model and computed, a clipped one is modelled and then bounded.
    """
    return []
