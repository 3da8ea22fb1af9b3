"""What must hold of the tables that are made of any database: keys, foreign keys, degrees."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spark_synth.schema import Schema
from tests.zoo.draws import Tables

ORPHAN = 999_999


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
