"""Foreign keys that resolve: orphans are counted, then refused, set to NULL, dropped or kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_synth.errors import UserError
from spark_synth.schema.model import ForeignKey, Orphans, Schema
from spark_synth.sources.spark_util import any_null, col, measure, run_parallel

_LOG = logging.getLogger(__name__)
_MAX_ROUNDS = 20  # each round of dropped rows may orphan others; plans grow with it

Policy = Callable[[ForeignKey], Orphans]
Edge = tuple[str, str]  # a table and the name of one of its foreign keys


@dataclass
class Repaired:
    """Tables in which every foreign key resolves, but for the orphans that are kept, with their row counts and the
    orphans found per foreign key."""

    tables: dict[str, DataFrame]
    rows: dict[str, int]
    orphans: dict[str, int]


def repair_orphans(
    spark: SparkSession,
    tables: Mapping[str, DataFrame],
    schema: Schema,
    rows: Mapping[str, int],
    policy: Policy = lambda fk: fk.orphans,
    log_level: int = logging.WARNING,
    accepted: Mapping[Edge, DataFrame] | None = None,
) -> Repaired:
    """Apply the orphan policy of every foreign key. What a repair orphans in turn is repaired in the next round.

    accepted: by foreign key, keys besides those of the parent that count as resolved, under the parent's names.
    """
    state = Repaired(dict(tables), dict(rows), {})
    pending = [t for t, v in schema.tables.items() if v.foreign_keys]
    for _ in range(_MAX_ROUNDS):
        checks = run_parallel(spark, lambda t: _check_table(state.tables, schema, t, policy, accepted or {}), pending)
        changed = []
        for table, (frame, count, orphans) in zip(pending, checks, strict=True):
            state.tables[table], state.rows[table] = frame, count
            for fk in schema.tables[table].foreign_keys:
                found, kept = state.orphans.get(fk.name, 0), policy(fk) is Orphans.KEEP
                new = orphans[fk.name] - (found if kept else 0)  # those that are kept are found again in every round
                _report(schema, table, fk, new, policy(fk), log_level)
                state.orphans[fk.name] = found + new
            if any(orphans[fk.name] for fk in schema.tables[table].foreign_keys if policy(fk) is not Orphans.KEEP):
                changed.append(table)
        pending = list(dict.fromkeys(child for table in changed for child, _ in schema.children(table)))
        if not pending:
            return state
    raise UserError(
        f"table {pending[0]!r}: dropping rows without a parent goes on for more than {_MAX_ROUNDS} levels; "
        "use orphans: null for its foreign keys"
    )


def orphan_keys(tables: Mapping[str, DataFrame], name: str, fk: ForeignKey) -> DataFrame:
    """The values of a foreign key that no row of the parent has, under the parent's names; one row a row."""
    parent = tables[fk.parent].select(*[col(c) for c in fk.parent_columns])
    own = [col(c).alias(p) for c, p in zip(fk.columns, fk.parent_columns, strict=True)]
    return tables[name].where(~any_null(fk.columns)).select(*own).join(parent, list(fk.parent_columns), "left_anti")


def _check_table(
    tables: Mapping[str, DataFrame], schema: Schema, name: str, policy: Policy, accepted: Mapping[Edge, DataFrame]
) -> tuple[DataFrame, int, dict[str, int]]:
    """The table repaired, its row count then, and its orphans per foreign key; one Spark job."""
    keys = schema.tables[name].foreign_keys
    frame = tables[name]
    columns = frame.columns
    joined = frame
    for i, fk in enumerate(keys):
        parent = tables[fk.parent].select(*[col(c) for c in fk.parent_columns])
        more = accepted.get((name, fk.name))
        joined = _mark_found(joined, parent if more is None else parent.unionByName(more), fk, i)
    unresolved = [~any_null(fk.columns) & F.col(_mark(i)).isNull() for i, fk in enumerate(keys)]
    nulled = [_nullable(schema, name, fk) if policy(fk) is Orphans.NULL else () for fk in keys]
    mended = [policy(fk) is not Orphans.KEEP for fk in keys]
    dropped = _any([o for o, c, m in zip(unresolved, nulled, mended, strict=True) if m and not c])
    sums = [F.count_if(o).alias(f"orphans{i}") for i, o in enumerate(unresolved)]
    counts = measure(joined, [F.count_if(~dropped).alias("kept"), *sums])
    orphans = {fk.name: int(counts[f"orphans{i}"]) for i, fk in enumerate(keys)}
    if not any(orphans[fk.name] for fk, m in zip(keys, mended, strict=True) if m):
        return frame, int(counts["kept"]), orphans
    repaired = [
        F.when(~_any([o for o, c in zip(unresolved, nulled, strict=True) if column in c]), col(column)).alias(column)
        for column in columns
    ]
    return joined.filter(~dropped).select(*repaired), int(counts["kept"]), orphans


def _mark(index: int) -> str:
    return f"__spark_synth_found_{index}__"


def _mark_found(frame: DataFrame, parent: DataFrame, fk: ForeignKey, index: int) -> DataFrame:
    """The frame with a column that is TRUE where the foreign key resolves, else NULL."""
    keys = [f"{_mark(index)}{i}" for i in range(len(fk.columns))]
    selected = [col(c).alias(k) for c, k in zip(fk.parent_columns, keys, strict=True)]
    known = parent.select(*selected, F.lit(True).alias(_mark(index)))
    matches = [col(c) == F.col(k) for c, k in zip(fk.columns, keys, strict=True)]
    return frame.join(known, matches, "left").drop(*keys)


def _nullable(schema: Schema, name: str, fk: ForeignKey) -> tuple[str, ...]:
    """The columns to empty so that the key is NULL: not those of the primary key, nor, if others do, of another key."""
    table = schema.tables[name]
    free = [c for c in fk.columns if c not in table.primary_key]
    shared = {c for other in table.foreign_keys if other is not fk for c in other.columns}
    return tuple([c for c in free if c not in shared] or free)


def _any(conditions: list[Column]) -> Column:
    result = F.lit(False)
    for condition in conditions:
        result = result | condition
    return result


def _report(schema: Schema, table: str, fk: ForeignKey, count: int, policy: Orphans, log_level: int) -> None:
    if not count:
        return
    target = f"{fk.parent} ({', '.join(fk.parent_columns)})"
    if policy is Orphans.ERROR:
        raise UserError(
            f"foreign key {fk.name}: {count} rows of table {table!r} have values of ({', '.join(fk.columns)}) that are "
            f"not in {target}: correct the data, or set orphans: null, drop or keep"
        )
    nulled = _nullable(schema, table, fk) if policy is Orphans.NULL else ()
    done = "kept" if policy is Orphans.KEEP else f"{', '.join(nulled)} set to NULL" if nulled else "rows dropped"
    told = f"{count:,} rows of {table} have no row in {target}: {done}"
    _LOG.log(log_level, "  foreign key %s: %s", fk.name, told)
