"""Train on synthetic rows, test on real ones, for columns that the user names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.errors import UserError
from spark_synth.evaluation.columns import Role, enough, picked, role
from spark_synth.evaluation.compatibility import incompatible, learnt, model_compatibility, together
from spark_synth.evaluation.joins import PLACE, SAMPLE_ROWS, Joined, joined, kinds_of
from spark_synth.evaluation.task import in_one_task
from spark_synth.schema.model import Schema
from spark_synth.schema.names import quote

MOST_COMBINED = 30  # rows that a row becomes, on average, where it is joined with combinations of those below it
LEAST_ROWS = 50  # of every side
_SIDE = "__side"


def find_target(schema: Schema, name: str) -> tuple[str, str]:
    """Table and column of `table.column`; UserError where it is none that can be predicted."""
    for table, spec in schema.tables.items():
        column = name.removeprefix(f"{table}.")
        if column == name or column not in spec.columns:
            continue
        if role(spec, column) not in (Role.NUMBER, Role.CATEGORY):
            raise UserError(f"target {name!r}: {column} of {table} is a key or free text, which nothing predicts")
        return table, column
    raise UserError(f"target {name!r} is no column of the schema: write it as table.column")


def check_targets(schema: Schema, names: Iterable[str]) -> None:
    """UserError at the first that is none."""
    for name in names:
        find_target(schema, name)


def evaluate_target(
    one: Mapping[str, DataFrame],
    other: Mapping[str, DataFrame],
    synth: Mapping[str, DataFrame],
    schema: Schema,
    target: str,
    seed: int,
) -> dict[str, Any] | None:
    """How well `target` (table.column) is predicted in the real half `other`, by a model learnt from the half `one` and
    by one learnt from as many synthetic rows, from the row joined with its parents and its children.

    Figures are those of compatibility.model_compatibility; `ceiling_mc_auc` and `ceiling_mc_f1` compare both halves in
    the same way; `rows` is how many were used, at most SAMPLE_ROWS a side; `left_out` are tables below of which a row
    has too many. None where a side has too few rows.
    """
    table, column = find_target(schema, target)
    below, left_out, combined = _below(one, schema, table)
    sides = []
    for frames in (one, other, synth):
        share = enough(SAMPLE_ROWS, combined * frames[table].count())
        some = {**frames, table: frames[table].where(picked(schema.table(table), share))}
        sides.append(joined(some, schema, table, below))
    numbers, categories = kinds_of(sides[0])
    place = F.xxhash64(*[F.col(quote(c)) for c in sides[0].columns])
    every = reduce(DataFrame.unionByName, [s.withColumn(_SIDE, F.lit(i)) for i, s in enumerate(sides)])
    figures = in_one_task(
        every.withColumn(PLACE, place), lambda r: _predicted(r, numbers, categories, f"{table}.{column}", seed)
    )
    return None if figures is None else {"target": target, "table": table, **figures, "left_out": left_out}


def _below(frames: Mapping[str, DataFrame], schema: Schema, table: str) -> tuple[list[str], list[str], float]:
    """Tables below that are joined, those that are not, and the rows that one row becomes by it."""
    rows = max(1, frames[table].count())
    children = sorted({c for c, _ in schema.children(table) if c != table})
    means = sorted((max(1.0, frames[c].count() / rows), c) for c in children)
    taken, left_out, combined = [], [], 1.0
    for mean, child in means:
        if combined * mean <= MOST_COMBINED:
            taken.append(child)
            combined *= mean
        else:
            left_out.append(child)
    return taken, left_out, combined


def _predicted(
    rows: pd.DataFrame, numbers: list[str], categories: list[str], target: str, seed: int
) -> dict[str, Any] | None:
    rows = rows[rows[target].notna()].sort_values([PLACE, *numbers, *categories])
    parts = [rows[rows[_SIDE] == side].head(SAMPLE_ROWS) for side in range(3)]
    each = min(len(parts[0]), len(parts[2]))
    if min(each, len(parts[1])) < LEAST_ROWS or parts[0][target].nunique() < 2:
        return None
    one, other, synth = (Joined(p.head(each) if i != 1 else p, numbers, categories) for i, p in enumerate(parts))
    found = model_compatibility(one, other, synth, target, seed)
    reverse = learnt(other, one, together(one, other), target, seed)  # from another real sample
    ceiling = {f"ceiling_mc_{k}": incompatible(found[f"{k}_real"], v) for k, v in reverse.items() if k != "r2"}
    return {
        "rows": {"train": each, "test": len(other.rows)},
        **found,
        **ceiling,
    }
