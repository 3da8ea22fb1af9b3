"""Opening a database: read, typed, checked, repaired and sampled, so that later rooms can rely on what they get."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from spark_synth.errors import UserError
from spark_synth.schema.check import check_schema, suggestion
from spark_synth.schema.cycles import cut_cycles, cyclic_edges
from spark_synth.schema.graph import choose_owners
from spark_synth.schema.model import Kind, Orphans, Schema
from spark_synth.schema.orphans import check_kept_orphans
from spark_synth.schema.overlap import mark_shared
from spark_synth.sources.files import RawTable
from spark_synth.sources.gathered import gather
from spark_synth.sources.integrity import Edge, orphan_keys, repair_orphans
from spark_synth.sources.listing import check_there, is_thinned, read_table
from spark_synth.sources.parsing import cast_to
from spark_synth.sources.partly import mark_partly
from spark_synth.sources.paths import mark_repeated
from spark_synth.sources.sample import sample_tables
from spark_synth.sources.spark_util import any_null, col, measure, run_parallel
from spark_synth.sources.types import BAD, ColumnType, column_type, level, needs_level, settle_types, source_type

if TYPE_CHECKING:
    from spark_synth.config import SourceSettings

_LOG = logging.getLogger(__name__)


@dataclass
class Database:
    """A database ready for work: every key unique, every foreign key resolved or marked with the orphans that are kept,
    every column typed."""

    tables: dict[str, DataFrame]
    schema: Schema
    rows: dict[str, int]
    orphans: dict[str, int] = field(default_factory=dict)  # per foreign key name, before sampling
    places: dict[str, tuple[str, int | None]] = field(default_factory=dict)  # where it was read; of Delta, the version


@dataclass
class _Profile:
    """What one pass over a table told."""

    rows: int
    types: dict[str, ColumnType]


def open_database(spark: SparkSession, source: SourceSettings, schema: Schema, seed: int) -> Database:
    """Read every table of the schema from the source. Whatever is wrong with it is a UserError naming the place.

    Frames are lazy and read the source anew at each use; the schema returned lists columns in the source's order.
    """
    check_schema(schema)
    spark.conf.set("spark.sql.legacy.timeParserPolicy", "CORRECTED")  # a value that does not parse is NULL, no failure
    check_there(spark, source)
    names = list(schema.tables)
    raws = dict(zip(names, run_parallel(spark, lambda n: read_table(spark, source, n), names), strict=True))
    schema = _align(schema, raws)
    profiles = dict(zip(names, run_parallel(spark, lambda n: _profile(n, raws[n], schema), names), strict=True))
    types = settle_types(schema, {(n, c): t for n, p in profiles.items() for c, t in p.types.items()})
    for (name, column), type_ in types.items():
        schema.tables[name].columns[column].type = type_
    tables = {n: _typed(raws[n], schema, n) for n in names}
    counts, thinned = {n: p.rows for n, p in profiles.items()}, is_thinned(source)
    mend = (
        partial(repair_orphans, policy=lambda _: Orphans.NULL, log_level=logging.DEBUG) if thinned else repair_orphans
    )
    repaired = mend(spark, tables, schema, counts)
    places = {n: (raw.place, raw.version) for n, raw in raws.items()}
    database = Database(repaired.tables, schema, repaired.rows, repaired.orphans, places)
    _refuse_empty(database, "after rows without a parent were dropped")
    cut_cycles(schema, _null_shares(spark, database, cyclic_edges(schema)))
    mark_partly(spark, database.tables, schema)
    mark_shared(schema)
    for way, differing in mark_repeated(spark, database.tables, schema):
        _LOG.info("%s (%s rows differ)", way, f"{differing:,}")
    gather(spark, database.tables, schema, database.rows)
    kept = _kept_orphans(spark, database)
    if source.sample < 1 and not thinned:
        database = _sampled(spark, database, source.sample, seed, kept)
        _kept_orphans(spark, database)
    check_kept_orphans(database.schema)
    return database


def _align(schema: Schema, raws: dict[str, RawTable]) -> Schema:
    """A copy of the schema with columns in the order of the source; what the schema does not declare is left out."""
    aligned = schema.model_copy(deep=True)
    for name, table in aligned.tables.items():
        found = [c for c in raws[name].frame.columns if c != raws[name].ragged]
        for column in table.columns:
            if column not in found:
                raise UserError(
                    f"column {name}.{column} of the schema is not in {raws[name].place}{suggestion(column, found)}"
                )
        extra = [c for c in found if c not in table.columns]
        if extra:
            _LOG.warning("table %s: columns not in the schema are left out: %s", name, ", ".join(extra))
        table.columns = {c: table.columns[c] for c in found if c in table.columns}
    return aligned


def _profile(name: str, raw: RawTable, schema: Schema) -> _Profile:
    """Check a table's rows and keys and infer its types."""
    table = schema.tables[name]
    fixed = {c: source_type(name, c, spec, raw) for c, spec in table.columns.items()}
    given = {f.name: f.dataType.simpleString() for f in raw.frame.schema}
    looked = [c for c, spec in table.columns.items() if needs_level(spec, fixed[c], given[c])]
    keys = _unique_keys(schema, name)
    linked = table.foreign_key_columns().union(*keys)
    aggregates = [F.count(F.lit(1)).alias("rows"), F.count_if(any_null(table.primary_key)).alias("null_keys")]
    for i, column in enumerate(looked):
        value = level(column, table.columns[column], fixed[column])
        aggregates.append(F.max(value).alias(f"highest{i}"))
        if column in linked:  # only there does the narrowest value matter; wide aggregations are slow to compile
            aggregates.append(F.min(value).alias(f"lowest{i}"))
    if raw.ragged:
        aggregates.append(F.count(col(raw.ragged)).alias("ragged"))
    seen = measure(raw.frame, aggregates)
    if raw.ragged and seen["ragged"]:
        raise UserError(f"{raw.place}: {seen['ragged']} lines {raw.misfit}: correct them")
    if not seen["rows"]:
        raise UserError(f"table {name!r} has no rows ({raw.place}): take it out of the schema")
    for i, column in enumerate(looked):
        if seen[f"highest{i}"] == BAD:
            _refuse_values(name, raw, schema, column, fixed[column])
    _check_keys(name, raw, schema, keys, seen)
    levels = {c: (seen[f"lowest{i}"] if c in linked else None, seen[f"highest{i}"]) for i, c in enumerate(looked)}
    types = {c: column_type(spec, fixed[c], *levels.get(c, (None, None))) for c, spec in table.columns.items()}
    return _Profile(seen["rows"], types)


def _unique_keys(schema: Schema, name: str) -> list[tuple[str, ...]]:
    """Column sets that must be unique: the primary key, and whatever else foreign keys reference."""
    referenced = [fk.parent_columns for _, fk in schema.children(name)]
    primary = schema.tables[name].primary_key
    return list(dict.fromkeys([*([primary] if primary else []), *referenced]))


def _identity(raw: RawTable, schema: Schema, name: str, column: str) -> SparkColumn:
    """A value that is the same for two texts that mean the same: `1.50` and `1.5`, not `01` and `1`."""
    spec = schema.tables[name].columns[column]
    if raw.frame.schema[column].dataType.simpleString() != "string":
        return col(column)
    if spec.kind is Kind.NUMERIC:
        return cast_to(column, "decimal(38,10)")
    if spec.kind is Kind.DATETIME:
        return cast_to(column, "timestamp", spec.format)
    return col(column)


def _refuse_values(name: str, raw: RawTable, schema: Schema, column: str, fixed: str | None) -> None:
    spec = schema.tables[name].columns[column]
    bad = measure(raw.frame, [F.count_if(level(column, spec, fixed) == BAD).alias("bad")])["bad"]
    wanted = f"of type {fixed}" if fixed else f"a {spec.kind}"
    form = f" in the format {spec.format!r}" if spec.format else ""
    raise UserError(
        f"column {name}.{column}: {bad} values are not {wanted}{form}: correct them or the column's declaration"
    )


def _check_keys(name: str, raw: RawTable, schema: Schema, keys: list[tuple[str, ...]], seen: Row) -> None:
    primary = schema.tables[name].primary_key
    if primary and seen["null_keys"]:
        raise UserError(f"table {name!r}: primary key ({', '.join(primary)}) is NULL in {seen['null_keys']} rows")
    if not keys:
        return
    counts = []
    for i, key in enumerate(keys):
        values = [_identity(raw, schema, name, c) for c in key]
        counts += [F.count_if(~any_null(key)).alias(f"rows{i}"), F.count_distinct(*values).alias(f"distinct{i}")]
    # apart from the levels: a distinct count beside many other aggregates costs more than a second reading
    found = measure(raw.frame, counts)
    for i, key in enumerate(keys):
        repeated = found[f"rows{i}"] - found[f"distinct{i}"]
        if repeated:
            role = "primary key" if key == primary else "columns referenced by a foreign key"
            raise UserError(
                f"table {name!r}: {role} ({', '.join(key)}) not unique: {repeated} rows repeat a value of another row"
            )


def _typed(raw: RawTable, schema: Schema, name: str) -> DataFrame:
    columns = schema.tables[name].columns
    given = {f.name: f.dataType.simpleString() for f in raw.frame.schema}
    return raw.frame.select(
        *[
            (col(c) if spec.type == given[c] else cast_to(c, spec.type or "string", spec.format)).alias(c)
            for c, spec in columns.items()
        ]
    )


def _kept_orphans(spark: SparkSession, database: Database) -> dict[Edge, DataFrame]:
    """The keys that are kept although no row of the parent has them; every foreign key is told how many rows do."""
    edges = [(t, k) for t, v in database.schema.tables.items() for k in v.foreign_keys if k.orphans is Orphans.KEEP]
    found = [orphan_keys(database.tables, t, fk) for t, fk in edges]
    for (_, fk), count in zip(edges, run_parallel(spark, DataFrame.count, found), strict=True):
        fk.kept_orphans = count
    return {(t, fk.name): keys.distinct() for (t, fk), keys in zip(edges, found, strict=True) if fk.kept_orphans}


def _sampled(spark: SparkSession, database: Database, share: float, seed: int, kept: dict[Edge, DataFrame]) -> Database:
    """The database cut to a share; links to rows that are gone become NULL, or their rows go where they cannot.

    kept: keys of orphans that are kept.
    """
    schema = database.schema
    owners = choose_owners(schema, database.rows)
    tables = sample_tables(database.tables, schema, owners, share, seed, kept)
    cut = [n for n, frame in tables.items() if frame is not database.tables[n]]
    counts = run_parallel(spark, lambda n: tables[n].count(), cut)
    rows = database.rows | dict(zip(cut, counts, strict=True))
    mended = repair_orphans(spark, tables, schema, rows, lambda _: Orphans.NULL, logging.DEBUG, kept)
    sampled = Database(mended.tables, schema, mended.rows, database.orphans, database.places)
    _refuse_empty(sampled, f"in a sample of {share:g}: raise source.sample")
    return sampled


def _null_shares(spark: SparkSession, database: Database, edges: set[tuple[str, str]]) -> dict[tuple[str, str], float]:
    """Share of the rows in which each of these foreign keys is NULL; one job a table."""
    keys = {t: [fk for fk in v.foreign_keys if (t, fk.name) in edges] for t, v in database.schema.tables.items()}
    names = [t for t, found in keys.items() if found]

    def nulls(t: str) -> Row:
        counts = [F.count_if(any_null(fk.columns)).alias(f"n{i}") for i, fk in enumerate(keys[t])]
        return measure(database.tables[t], counts)

    seen = dict(zip(names, run_parallel(spark, nulls, names), strict=True))
    return {(t, fk.name): seen[t][i] / database.rows[t] for t in names for i, fk in enumerate(keys[t])}


def _refuse_empty(database: Database, when: str) -> None:
    for name, count in database.rows.items():
        if not count:
            raise UserError(f"table {name!r} has no rows left {when}")
