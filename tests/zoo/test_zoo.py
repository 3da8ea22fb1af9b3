"""Every schema shape through the whole job: keys, orphans, degrees, NULLs, uniqueness, and any partitioning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from spark_synth import pipeline
from spark_synth.config import load_config
from spark_synth.schema import Schema, save_schema
from tests.zoo.shapes import SHAPES, Tables, make

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CONF = Path(__file__).resolve().parents[2] / "conf" / "local.yaml"
ORPHAN = 999_999


@pytest.mark.parametrize("name", SHAPES)
def test_shape(name: str, spark: SparkSession, tmp_path: Path) -> None:
    schema, real = make(name)
    for table, rows in real.items():
        rows.to_parquet(tmp_path / f"{table}.parquet", index=False)
    save_schema(schema, tmp_path / "schema.yaml")

    def made(identifier: str, partitions: int) -> Tables:
        options: dict[str, object] = {"source.path": tmp_path, "schema": tmp_path / "schema.yaml"}
        options |= {
            "output": tmp_path / "out",
            "train.max_epochs": 4,
            "model.hidden": 32,
            "generate.partitions": partitions,
        }
        config = load_config(CONF, [f"{k}={v}" for k, v in options.items()], identifier=identifier)
        if partitions == 1:
            pipeline.train(config)
        folder = pipeline.generate(config) / "tables"
        return {t: DeltaTable(folder / t).to_pandas() for t in schema.tables}

    one, five = made("one", 1), made("five", 5)
    for table, rows in one.items():
        pd.testing.assert_frame_equal(_sorted(rows), _sorted(five[table]))
    check_tables(schema, real, one)


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(list(table.columns), ignore_index=True)


def check_tables(schema: Schema, real: Tables, made: Tables) -> None:
    """Rows, keys and every foreign key of the made tables."""
    for name, table in schema.tables.items():
        rows, key = made[name], list(table.primary_key)
        assert list(rows.columns) == list(real[name].columns)
        dropped = sum(
            (real[name][list(fk.columns)] == ORPHAN).any(axis=1).sum()
            for fk in table.foreign_keys
            if fk.orphans == "drop"
        )
        expected = len(real[name]) - dropped
        assert abs(len(rows) - expected) <= max(1, 0.05 * expected), name
        assert not key or not rows.duplicated(key).any(), f"{name}: keys repeat"
        assert not key or rows[key].notna().all(axis=None), f"{name}: NULL in a key"
        for fk in table.foreign_keys:
            ends = (real[name], real[fk.parent], made[name], made[fk.parent], fk.columns, fk.parent_columns)
            if fk.orphans == "keep":
                check_orphans(fk.name, *ends, copied=schema.tables[fk.parent].reference)
            check_edge(fk.name, *ends, kept=fk.orphans == "keep", copied=schema.tables[fk.parent].reference)


def check_edge(
    name: str,
    real: pd.DataFrame,
    real_parent: pd.DataFrame,
    made: pd.DataFrame,
    made_parent: pd.DataFrame,
    columns: tuple[str, ...],
    parent_columns: tuple[str, ...],
    kept: bool,
    copied: bool,
) -> None:
    """No orphan if these are not kept, the NULL share within 2 points, degrees as in the real tables; where the rows of
    the parent are the real ones, also the degree of each."""
    nulls = [_values(t, columns).isna().mean() for t in (real, made)]
    ends = ((real, real_parent), (made, made_parent))
    orphans = [0 if kept else len(_orphans(*tables, columns, parent_columns)) for tables in ends]
    assert orphans[1] == 0, f"{name}: {orphans[1]} orphans"
    expected = nulls[0] + (orphans[0] / len(real) if nulls[1] else 0)  # orphans became NULL, or went
    assert abs(nulls[1] - expected) <= 0.02, f"{name}: NULL {nulls[1]:.3f}, expected {expected:.3f}"
    a, b = (_degrees(child, parent, columns, parent_columns) for child, parent in ends)
    assert _ks(a, b) <= 0.1, f"{name}: degree KS {_ks(a, b):.3f}"
    moved = (a / a.sum()).sub(b / b.sum(), fill_value=0).abs().sum() / 2
    assert not copied or moved <= 0.1, f"{name}: {moved:.3f} of the rows have another target"


def check_orphans(
    name: str,
    real: pd.DataFrame,
    real_parent: pd.DataFrame,
    made: pd.DataFrame,
    made_parent: pd.DataFrame,
    columns: tuple[str, ...],
    parent_columns: tuple[str, ...],
    copied: bool,
) -> None:
    """As many orphans as in the real tables, within 2 points, in the same kind of rows (as far as four epochs teach
    that); about as many keys, all new."""
    ends = ((real, real_parent), (made, made_parent))
    found = [_orphans(*tables, columns, parent_columns) for tables in ends]
    shares = [len(f) / len(child) for f, (child, _) in zip(found, ends, strict=True)]
    assert abs(shares[0] - shares[1]) <= 0.02 and (shares[0] > 0 or not shares[1]), f"{name}: orphans {shares}"
    if not copied:
        assert not set(found[1]) & set(found[0]) and not set(found[1]) & set(_values(real_parent, parent_columns)), name
    keys = [f.nunique() for f in found]
    assert keys[1] == pytest.approx(keys[0], rel=0.25, abs=2), f"{name}: keys of orphans {keys}"
    if "kind" in real and len(found[0]) > 100:
        for kind in "xyz":
            inside = [(t.loc[f.index, "kind"] == kind).mean() for f, t in zip(found, (real, made), strict=True)]
            assert abs(inside[0] - inside[1]) <= 0.3, f"{name}: {kind} among orphans {inside}"


def _values(table: pd.DataFrame, columns: tuple[str, ...]) -> pd.Series:
    """One text a row, NaN where any column is NULL."""
    found = table[list(columns)].convert_dtypes()  # a column of integers with NULLs comes as floats
    return found.astype(str).agg("|".join, axis=1).where(found.notna().all(axis=1))


def _orphans(child: pd.DataFrame, parent: pd.DataFrame, columns: tuple[str, ...], keys: tuple[str, ...]) -> pd.Series:
    """The values of rows without a row in the parent."""
    found = _values(child, columns).dropna()
    return found[~found.isin(set(_values(parent, keys)))]


def _degrees(child: pd.DataFrame, parent: pd.DataFrame, columns: tuple[str, ...], keys: tuple[str, ...]) -> pd.Series:
    """Rows of the child by key of the parent."""
    counts = _values(child, columns).value_counts()
    return counts.reindex(_values(parent, keys).to_numpy()).fillna(0)


def _ks(a: pd.Series, b: pd.Series) -> float:
    points = np.union1d(a, b)
    below = [np.searchsorted(np.sort(x), points, side="right") / len(x) for x in (a, b)]
    return float(np.abs(below[0] - below[1]).max())
