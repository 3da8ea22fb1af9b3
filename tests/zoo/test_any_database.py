"""Databases that hypothesis makes up: whatever their foreign keys are, keys are unique and valid and degrees kept."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from spark_synth import pipeline
from spark_synth.schema import Schema
from tests.zoo.checks import check_tables
from tests.zoo.draws import VALUES, Rng, Shape
from tests.zoo.runs import configured, generated, write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

EXAMPLES = 8
HOW = ("owner", "link", "nullable", "extension", "pair", "itself", "cycle")


@st.composite
def databases(draw: st.DrawFn) -> Shape:
    """Three to five tables, with foreign keys of every kind among them."""
    d = Rng(np.random.default_rng(draw(st.integers(0, 99))))
    count = draw(st.integers(3, 5))
    sizes = [draw(st.integers(40, 400)) for _ in range(count)]
    schema, tables = Schema(), {f"t{i}": d.parent(n, first=1 + 1000 * i) for i, n in enumerate(sizes)}
    for name in tables:
        schema.add_table(name, "id", VALUES)
    keys = st.lists(st.tuples(st.integers(0, count - 1), st.sampled_from(HOW)), min_size=1, max_size=2, unique=True)
    for i in range(count):
        for n, (j, how) in enumerate(draw(keys)):
            _add_key(d, schema, tables, (i, j), how, f"k{i}{n}")
    return schema, tables


def _add_key(
    d: Rng, schema: Schema, tables: dict[str, pd.DataFrame], ends: tuple[int, int], how: str, key: str
) -> None:
    """A foreign key from one table to another; tables come in order, only a cycle leads to a later one."""
    low, high = sorted(ends)
    child, parent = (f"t{low}", f"t{high}") if how == "cycle" else (f"t{high}", f"t{low}")
    rows, ids = tables[child], tables[parent]["id"]
    if how == "itself":
        above = [d.rng.integers(0, max(1, n)) for n in range(len(rows))]
        found = pd.Series(rows["id"].to_numpy()[above]).where(d.rng.random(len(rows)) < 0.9).astype("Int64")
        tables[child] = rows.assign(**{key: found.mask(rows.index == 0)})
        schema.add_foreign_key(f"{child}.{key}", f"{child}.id")
    elif low == high:
        return
    elif (
        how == "extension"
        and not schema.tables[child].foreign_keys
        and len(rows) <= len(ids)
        and not schema.children(child)
    ):
        tables[child] = rows.assign(id=d.rng.permutation(ids)[: len(rows)])
        schema.add_foreign_key(f"{child}.id", f"{parent}.id")
    elif how == "pair" and f"{child}_{parent}" not in tables:
        pairs = pd.DataFrame(
            {"l": d.pick(ids, 2 * len(rows)), "r": d.pick(rows["id"], 2 * len(rows))}
        ).drop_duplicates()
        name = f"{child}_{parent}"
        tables[name] = pd.concat([pairs.reset_index(drop=True), d.values(len(pairs))], axis=1)
        schema.add_table(name, ["l", "r"], VALUES)
        schema.add_foreign_key(f"{name}.l", f"{parent}.id").add_foreign_key(f"{name}.r", f"{child}.id")
    else:
        null = {"nullable": 0.2, "cycle": 0.5}.get(how, 0.0)
        tables[child] = rows.assign(**{key: d.pick(ids, len(rows), null)})
        schema.add_foreign_key(f"{child}.{key}", f"{parent}.id")


@settings(max_examples=EXAMPLES, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(database=databases())
def test_any_database(database: Shape, spark: SparkSession) -> None:
    schema, real = database
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), schema, real)
        config = configured(Path(folder))
        pipeline.train(config)
        check_tables(schema, real, generated(config, schema))
