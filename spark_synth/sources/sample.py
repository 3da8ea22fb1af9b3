"""A share of a database, taken by parent key: whole families stay, so degrees and sequences keep their shape."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_synth.schema.model import ForeignKey, Schema
from spark_synth.sources.spark_util import any_null, col

STEPS = 1_000_000  # resolution of the share
_FOUND = "__spark_synth_sampled__"


def sample_tables(
    tables: Mapping[str, DataFrame],
    schema: Schema,
    owners: Mapping[str, ForeignKey | None],
    share: float,
    seed: int,
    orphans: Mapping[tuple[str, str], DataFrame] | None = None,
) -> dict[str, DataFrame]:
    """Each root that owns other tables cut to a share of its rows, each owned table to the rows of the kept parents.

    Whole stay: reference tables and what they own, and roots that own nothing. Rows without a parent are cut by a
    hash of their own key. Foreign keys other than owners may be left unresolved. orphans: by table and foreign key, the
    keys of orphans that are kept; those of owners are cut as parents are.
    """
    owning = {fk.parent for fk in owners.values() if fk}
    cut: dict[str, DataFrame | None] = {}  # None: the table stays whole

    def cut_table(name: str) -> DataFrame | None:
        if name in cut:
            return cut[name]
        owner = owners[name]
        chosen = _chosen(tables[name], schema.tables[name].primary_key, share, seed)
        if schema.tables[name].reference or (owner is None and name not in owning):
            cut[name] = None
        elif owner is None:
            cut[name] = tables[name].filter(chosen)
        else:
            parent = cut_table(owner.parent)
            lost = (orphans or {}).get((name, owner.name))
            if parent is not None and lost is not None:
                parent = parent.select(*[col(c) for c in owner.parent_columns])
                parent = parent.unionByName(lost.filter(_chosen(lost, owner.parent_columns, share, seed)))
            cut[name] = None if parent is None else _follow(tables[name], parent, owner, chosen)
        return cut[name]

    return {name: frame if (kept := cut_table(name)) is None else kept for name, frame in tables.items()}


def _chosen(frame: DataFrame, key: tuple[str, ...], share: float, seed: int) -> Column:
    """Whether a hash of the row's key (of the whole row where there is none) falls into the share."""
    columns = [col(c) for c in key or frame.columns]
    return F.pmod(F.xxhash64(F.lit(seed), *columns), F.lit(STEPS)) < round(share * STEPS)


def _follow(frame: DataFrame, parent: DataFrame, owner: ForeignKey, chosen: Column) -> DataFrame:
    """Rows whose owner was kept, and the chosen ones of those that have none."""
    keys = [f"{_FOUND}{i}" for i in range(len(owner.columns))]
    selected = [col(c).alias(k) for c, k in zip(owner.parent_columns, keys, strict=True)]
    known = parent.select(*selected, F.lit(True).alias(_FOUND))
    matches = [col(c) == F.col(k) for c, k in zip(owner.columns, keys, strict=True)]
    keep = F.col(_FOUND).isNotNull() | (any_null(owner.columns) & chosen)
    return frame.join(known, matches, "left").filter(keep).select(*[col(c) for c in frame.columns])
