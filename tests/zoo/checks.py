"""What must hold of the tables that are made of any database: keys, foreign keys, degrees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from spark_synth.schema import Schema
from spark_synth.schema.model import ForeignKey, Table
from tests.zoo.draws import Tables

ORPHAN = 999_999
FEW_PARENTS = 50


@dataclass(frozen=True)
class Edge:
    """A foreign key with the tables at its ends; copied: the rows of the parent are the real ones."""

    key: ForeignKey
    real: pd.DataFrame
    real_parent: pd.DataFrame
    made: pd.DataFrame
    made_parent: pd.DataFrame
    copied: bool

    @property
    def name(self) -> str:
        """How messages name it."""
        return self.key.name

    @property
    def kept(self) -> bool:
        """Whether orphans stay."""
        return self.key.orphans == "keep"

    @property
    def ends(self) -> tuple[tuple[pd.DataFrame, pd.DataFrame], ...]:
        """Child and parent: the real ones, the made ones."""
        return (self.real, self.real_parent), (self.made, self.made_parent)


def check_tables(schema: Schema, real: Tables, made: Tables) -> None:
    """Rows, keys and every foreign key of the made tables; all that is wrong with them is told together."""
    problems: list[str] = []
    for name, table in schema.tables.items():
        _gather(problems, check_rows, name, table, real[name], made[name])
        for fk in table.foreign_keys:
            edge = Edge(
                fk, real[name], real[fk.parent], made[name], made[fk.parent], schema.tables[fk.parent].reference
            )
            if edge.kept:
                _gather(problems, check_orphans, edge)
            _gather(problems, check_edge, edge)
    _gather(problems, check_ways, schema, real, made)
    assert not problems, "\n".join(problems)


def _gather(problems: list[str], check: Callable[..., None], *what: object) -> None:
    try:
        check(*what)
    except AssertionError as error:
        problems.append(str(error).splitlines()[0])


def check_rows(name: str, table: Table, real: pd.DataFrame, made: pd.DataFrame) -> None:
    """Columns, number of rows, primary key."""
    key = list(table.primary_key)
    assert list(made.columns) == list(real.columns), f"{name}: columns {list(made.columns)}"
    dropped = sum(
        (real[list(fk.columns)] == ORPHAN).any(axis=1).sum() for fk in table.foreign_keys if fk.orphans == "drop"
    )
    expected = len(real) - dropped
    assert abs(len(made) - expected) <= max(1, 0.05 * expected), f"{name}: {len(made)} rows, expected {expected}"
    assert not key or not made.duplicated(key).any(), f"{name}: keys repeat"
    assert not key or made[key].notna().all(axis=None), f"{name}: NULL in a key"


def check_ways(schema: Schema, real: Tables, made: Tables) -> None:
    """Where two ways lead from every real row to the same one, they do from every made row."""
    for name, table in schema.tables.items():
        pairs = [(key, over) for key in table.foreign_keys for over in table.foreign_keys if key is not over]
        for key, over in pairs:
            for onward in schema.tables[over.parent].foreign_keys:
                if len(real[name]) < 50 or onward.parent != key.parent or name == over.parent:
                    continue
                met = [_met(t, name, key, over, onward) for t in (real, made)]
                assert met[1] == 1 or met[0] < 1, f"{key.name}: {1 - met[1]:.3f} of the rows part from {over.name}"


def _met(tables: Tables, name: str, key: ForeignKey, over: ForeignKey, onward: ForeignKey) -> float:
    """Share of the rows in which both ways give the same values, or none."""
    there = tables[over.parent]
    theirs = pd.Series(_values(there, onward.columns).to_numpy(), _values(there, over.parent_columns).to_numpy())
    both = _values(tables[name], over.columns).map(theirs), _values(tables[name], key.columns)
    return float((both[0].fillna("") == both[1].fillna("")).mean())


def check_edge(edge: Edge) -> None:
    """No orphan if these are not kept, the NULL share within 2 points, degrees as in the real tables; where the rows of
    the parent are the real ones, also the degree of each."""
    name, columns, parent_columns = edge.name, edge.key.columns, edge.key.parent_columns
    nulls = [_values(child, columns).isna().mean() for child, _ in edge.ends]
    orphans = [0 if edge.kept else len(_orphans(*tables, columns, parent_columns)) for tables in edge.ends]
    assert orphans[1] == 0, f"{name}: {orphans[1]} orphans"
    expected = nulls[0] + (orphans[0] / len(edge.real) if nulls[1] else 0)  # orphans became NULL, or went
    assert abs(nulls[1] - expected) <= 0.02, f"{name}: NULL {nulls[1]:.3f}, expected {expected:.3f}"
    a, b = (_degrees(child, parent, columns, parent_columns) for child, parent in edge.ends)
    far = np.abs(np.sort(a) - np.sort(b)).sum() / a.sum() if len(a) == len(b) else 1.0
    few = len(a) < FEW_PARENTS and far <= 0.2  # one of them is more than 2 % of the distribution
    assert _ks(a, b) <= 0.1 or few, f"{name}: degree KS {_ks(a, b):.3f}, degrees of few are {far:.3f} off"
    moved = (a / a.sum()).sub(b / b.sum(), fill_value=0).abs().sum() / 2
    assert not edge.copied or moved <= 0.1, f"{name}: {moved:.3f} of the rows have another target"


def check_orphans(edge: Edge) -> None:
    """As many orphans as in the real tables, within 2 points, in the same kind of rows (as far as four epochs teach
    that); about as many keys, all new."""
    name, columns, parent_columns = edge.name, edge.key.columns, edge.key.parent_columns
    found = [_orphans(*tables, columns, parent_columns) for tables in edge.ends]
    shares = [len(f) / len(child) for f, (child, _) in zip(found, edge.ends, strict=True)]
    assert abs(shares[0] - shares[1]) <= 0.02 and (shares[0] > 0 or not shares[1]), f"{name}: orphans {shares}"
    if not edge.copied:
        assert not set(found[1]) & set(found[0]) and not set(found[1]) & set(
            _values(edge.real_parent, parent_columns)
        ), name
    keys = [f.nunique() for f in found]
    assert keys[1] == pytest.approx(keys[0], rel=0.25, abs=2), f"{name}: keys of orphans {keys}"
    if "kind" in edge.real and len(found[0]) > 100:
        for kind in "xyz":
            inside = [(t.loc[f.index, "kind"] == kind).mean() for f, (t, _) in zip(found, edge.ends, strict=True)]
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
