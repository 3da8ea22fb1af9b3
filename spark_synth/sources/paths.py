"""Foreign keys that lead where another one leads too: the patient of a claim is that of the claim's visit.

Such a key is not drawn. Its values are those of the row that the other key leads to, so that both ways from a row end
at the same one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_synth.schema.graph import filled_last
from spark_synth.schema.model import ForeignKey, Orphans, Schema
from spark_synth.sources.spark_util import any_null, col, measure, run_parallel

MIN_ROWS = 50  # fewer rows may agree by chance
NEARLY = 0.999  # share of rows that agree from which on all synthetic ones do
PROPOSED, CLOSELY = 1000, 0.98  # rows that propose, and the share that has to agree; then all rows are asked


@dataclass(frozen=True)
class Way:
    """A second way to the row that `key` of `table` refers to: by `over` and then by the foreign key `onward`."""

    table: str
    key: ForeignKey
    over: ForeignKey
    onward: ForeignKey

    def __str__(self) -> str:
        there = ", ".join(f"{self.over.parent}.{c}" for c in self.onward.columns)
        return f"{self.table}: {', '.join(self.key.columns)} is {there} by {', '.join(self.over.columns)}"


def mark_repeated(spark: SparkSession, tables: Mapping[str, DataFrame], schema: Schema) -> list[tuple[Way, int]]:
    """Mark the foreign keys that repeat one of a row that another key leads to (in place): `implied` and `onward`.

    Returns them, each with the number of rows that differ.
    """
    ways = list(_ways(schema))
    counts = run_parallel(spark, lambda w: _differing(tables, w), ways)
    held = [(w, n) for w, n in zip(ways, counts, strict=True) if n is not None]
    followers = {(w.table, w.key.name) for w, _ in held}
    found = []
    for way, differing in held:
        # what follows itself is in no row when the rows it leads to are looked up
        if way.key.implied is None and (way.table, way.over.name) not in followers:
            way.key.implied, way.key.onward = way.over.name, way.onward.name
            found.append((way, differing))
    return found


def _ways(schema: Schema) -> Iterator[Way]:
    """All second ways to a row that are known when a row is made."""
    for t, table in schema.tables.items():
        known = [] if table.reference else [fk for fk in table.foreign_keys if _known(schema, t, fk)]
        usable = [fk for fk in known if not fk.implied]
        for key in usable:
            used = {*table.primary_key, *(c for fk in table.foreign_keys if fk is not key for c in fk.columns)}
            if key.owner or used & set(key.columns):
                continue
            for over in usable:
                for onward in schema.table(over.parent).foreign_keys if over is not key else ():
                    same = (onward.parent, onward.parent_columns) == (key.parent, key.parent_columns)
                    if same and _known(schema, over.parent, onward):
                        yield Way(t, key, over, onward)


def _known(schema: Schema, table: str, fk: ForeignKey) -> bool:
    """Whether a foreign key leads to a generated row that is there when rows of its table are made."""
    return not (filled_last(table, fk) or schema.table(fk.parent).reference or fk.orphans is Orphans.KEEP)


def _differing(tables: Mapping[str, DataFrame], way: Way) -> int | None:
    """Rows whose two ways do not end at the same row, None where these are too many, or too few rows tell."""
    rows = tables[way.table]
    if _compared(tables, way, rows.limit(PROPOSED), CLOSELY) is None:
        return None
    return _compared(tables, way, rows, NEARLY)


def _compared(tables: Mapping[str, DataFrame], way: Way, rows: DataFrame, share: float) -> int | None:
    over, onward = way.over, way.onward
    to = [col(c).alias(f"__to{i}") for i, c in enumerate(over.parent_columns)]
    theirs = [col(c).alias(f"__v{i}") for i, c in enumerate(onward.columns)]
    ends = rows.select(*[col(c) for c in dict.fromkeys((*over.columns, *way.key.columns))])
    met = [col(c) == F.col(f"__to{i}") for i, c in enumerate(over.columns)]
    joined = ends.join(tables[over.parent].select(*to, *theirs), met, "left")
    same, known = F.lit(True), ~any_null(way.key.columns)
    for i, c in enumerate(way.key.columns):
        same = same & col(c).eqNullSafe(F.col(f"__v{i}"))
    told = [F.count_if(known).alias("known"), F.count_if(~same).alias("differ"), F.count(F.lit(1)).alias("rows")]
    found = measure(joined, [*told, F.countDistinct(F.when(known, F.hash(*map(col, way.key.columns)))).alias("ends")])
    enough = found["known"] >= MIN_ROWS and found["ends"] > 1
    return int(found["differ"]) if enough and found["differ"] <= (1 - share) * found["rows"] else None
