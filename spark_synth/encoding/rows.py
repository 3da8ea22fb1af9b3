"""Rows in family order: positions, times and gaps of every row, and the statistics that parents carry."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from spark_synth.encoding.codecs import NumericCodec
from spark_synth.encoding.edge_plan import OwnerPlan
from spark_synth.encoding.plan import BELOW, DEGREE, SAME, How, SummaryPlan, TablePlan, ValuePlan
from spark_synth.encoding.time_plan import TimePlan
from spark_synth.encoding.views import number_of, quoted, time_units, value_view
from spark_synth.schema.check import INTEGERS

SPLITS = 1000  # numbers of the split into training and held-out families
SHARES = 2  # categories per column whose share in the family is summarised
NUMBERS = (*INTEGERS, "float", "double")
NULL_FAMILY = "__null"  # family number of rows without an owner, NULL for all others


def key_hash(columns: Iterable[str]) -> Column:
    """A 64-bit hash of some columns, the same on every machine."""
    return F.xxhash64(*[quoted(c) for c in columns])


def row_number(plan: TablePlan, primary_key: tuple[str, ...], seed: int) -> Column:
    """A 64-bit number that stands for a row: a hash of its key, or of all columns where there is none."""
    return F.xxhash64(*[quoted(c) for c in primary_key or plan.columns], F.lit(seed))


def order_rows(df: DataFrame, plan: TablePlan, primary_key: tuple[str, ...], seed: int) -> DataFrame:
    """`df` with __hash, __split (0 to SPLITS - 1) and, for owned tables, __null, __pos, __n, __t, __dt, __t0 and __t1.

    Rows of a family are ordered by time, then key. Rows without an owner form families of about
    `owner.null_size` rows each, by a hash of the row, so that they keep the pace of time of the whole.
    """
    df = df.withColumn("__hash", row_number(plan, primary_key, seed))
    if plan.owner is None:
        return df.withColumn("__split", F.pmod(F.col("__hash"), F.lit(SPLITS)))
    df = df.withColumn(NULL_FAMILY, _null_family(plan.owner))
    family = [quoted(c) for c in plan.owner.columns] + [F.col(NULL_FAMILY)]
    df = df.withColumn("__split", F.pmod(F.xxhash64(*family, F.lit(seed)), F.lit(SPLITS)))
    ties = [quoted(c) for c in primary_key] + [F.col("__hash"), *(quoted(c) for c in plan.columns)]
    if plan.time:
        df = df.withColumn("__t", time_units(plan.time, quoted(plan.time.column), plan.time.type))
        ties.insert(0, F.col("__t"))
    window = Window.partitionBy(*family)
    ordered = window.orderBy(*ties)
    df = df.withColumn("__pos", F.row_number().over(ordered).cast("bigint") - 1)
    df = df.withColumn("__n", F.count(F.lit(1)).over(window))
    if plan.time:
        df = df.withColumn("__dt", F.col("__t") - F.lag("__t").over(ordered))
        df = df.withColumn("__t0", F.min("__t").over(window)).withColumn("__t1", F.max("__t").over(window))
    return df


def add_bases(
    rows: DataFrame, plan: TablePlan, parent: DataFrame, parent_plan: TablePlan, names: list[str]
) -> DataFrame:
    """`rows` with __base_<column>: the owner's date columns `names`, in the units of this table's time."""
    assert plan.owner is not None and plan.time is not None
    keys = [quoted(c).alias(f"__k{i}") for i, c in enumerate(plan.owner.parent_columns)]
    dates = [time_units(plan.time, quoted(c), parent_plan.columns[c]).alias(f"__base_{c}") for c in names]
    match = [quoted(c) == F.col(f"__k{i}") for i, c in enumerate(plan.owner.columns)]
    return rows.join(parent.select(*keys, *dates), match, "left").drop(*[f"__k{i}" for i in range(len(keys))])


def summary_plans(child: TablePlan, edge: str, owner: bool) -> list[tuple[SummaryPlan, Column]]:
    """(plan without codec, aggregate) of every statistic that a row carries of the rows of `child` under a foreign key.

    owner: whether these are its family, which begins and ends; else their mean time stands for that.
    """
    made: list[tuple[str, str, Column]] = []
    if child.time:
        t = F.col("__t").cast("double")
        course = [("first", F.min(t)), ("span", F.max(t) - F.min(t))] if owner else [("mean", F.avg(t))]
        made += [(child.time.column, stat, c) for stat, c in course]
    for value in child.values:
        made += [(value.column, stat, c) for stat, c in _statistics(value, child.columns)]
    for column in _copied_numbers(child, edge):  # which rows they link to tells of a family, too
        number = number_of(quoted(column), child.columns[column])
        made += [(column, "mean", _mean(number)), (column, "spread", F.stddev_pop(number))]
    return _unfitted(child.table, edge, made)


def deeper_plans(child: TablePlan, owned: Collection[tuple[str, str]]) -> list[tuple[SummaryPlan, Column]]:
    """(plan without codec, aggregate) of what a row carries of the rows below those of its family: how many each has on
    average, and the mean of what it carries of them. A customer whose orders are large places large orders.

    owned: (table, foreign key) of the families that rows of `child` own.
    """
    assert child.owner is not None
    made: list[tuple[str, str, Column]] = []
    for i, degree in enumerate(child.degrees):
        if (degree.table, degree.edge) in owned:
            made.append((degree.table, f"{DEGREE}{i}", _mean(F.col(f"__deg_{i}"))))
    for i, s in enumerate(child.summaries):
        if (s.table, s.edge) in owned and s.stat == "mean":
            made.append((s.column, f"{BELOW}{i}", _mean(F.col(f"__sum_{i}"))))
    return _unfitted(child.table, child.owner.name, made)


def _unfitted(table: str, edge: str, made: list[tuple[str, str, Column]]) -> list[tuple[SummaryPlan, Column]]:
    """Plans of (column, statistic, aggregate); the codecs are fitted later, from the aggregates themselves."""
    empty: NumericCodec = None  # type: ignore[assignment]
    return [(SummaryPlan(table, edge, column, stat, empty), aggregate) for column, stat, aggregate in made]


def _copied_numbers(child: TablePlan, edge: str) -> list[str]:
    """Numbers that the rows of `child` have from rows that they link to by other keys than `edge`."""
    links = [k for k in child.matched if not k.late and k.name != edge]
    copied = dict.fromkeys(c for k in links for c, _ in k.copies if not c.startswith(SAME))
    return [c for c in copied if child.columns[c] in NUMBERS or child.columns[c].startswith("decimal")]


def statistics_by_key(rows: DataFrame, columns: tuple[str, ...], aggregates: list[Column]) -> DataFrame:
    """One row per value of a foreign key (__k0..): the rows that carry it, as __d, and the aggregates as __s0.. ."""
    keys = [quoted(c).alias(f"__k{i}") for i, c in enumerate(columns)]
    named = [a.alias(f"__s{i}") for i, a in enumerate(aggregates)]
    kept = rows.dropna(subset=[f"`{c}`" for c in columns])
    return kept.groupBy(*keys).agg(F.count(F.lit(1)).alias("__d"), *named)


def attach(df: DataFrame, parent_columns: tuple[str, ...], found: DataFrame, rename: dict[str, str]) -> DataFrame:
    """`df` left joined with per-key columns `found` (__k0..), renamed."""
    right = found.select(
        *[c for c in found.columns if c.startswith("__k")], *[F.col(a).alias(b) for a, b in rename.items()]
    )
    match = [quoted(c) == F.col(f"__k{i}") for i, c in enumerate(parent_columns)]
    return df.join(right, match, "left").drop(*[c for c in right.columns if c.startswith("__k")])


def _null_family(owner: OwnerPlan) -> Column:
    missing = F.lit(False)
    for c in owner.columns:
        missing = missing | quoted(c).isNull()
    families = max(1, round(owner.null_rows / owner.null_size))
    return F.when(missing, F.pmod(F.col("__hash"), F.lit(families)))


def _statistics(value: ValuePlan, types: dict[str, str]) -> list[tuple[str, Column]]:
    view = value_view(value, types)
    if value.how in (How.NUMERIC, How.SINCE, How.CLOCK, How.NEAR):
        return [("mean", _mean(view)), ("spread", F.stddev_pop(view))]
    if value.how is How.DAY:
        return [("mean", _mean(number_of(quoted(value.column), types[value.column])))]
    if value.how is How.CATEGORY:
        categories = value.codecs[0].categories  # type: ignore[union-attr]
        shown = categories[: 1 if len(categories) == 2 else SHARES]
        return [(f"share:{c}", F.avg((view == c).cast("double"))) for c in shown] if len(categories) > 1 else []
    return []


def _mean(number: Column) -> Column:
    """To seven digits: beyond, means of the same numbers differ by the order in which these were added."""
    return F.avg(number).cast("float").cast("double")


def unit_of(df: DataFrame, column: str, type_: str) -> int:
    """Seconds per unit of a timestamp column: the coarsest of day, hour, minute, second that all values keep."""
    if not type_.startswith("timestamp"):
        return 1
    seconds = number_of(quoted(column), type_)
    units = (86400, 3600, 60)
    row = df.agg(*[F.max(F.pmod(seconds, F.lit(float(u)))).alias(f"u{u}") for u in units]).head()
    assert row is not None
    return next((u for u in units if row[f"u{u}"] == 0), 1)


def empty_time(column: str, type_: str, unit: int) -> TimePlan:
    """A TimePlan before its codecs are fitted."""
    none = NumericCodec(nullable=False)
    return TimePlan(column, type_, unit, None, False, 0, 0, 1, 1, none, none)
