"""The plan of a table's own columns: one aggregation for numbers and NULLs, one for the values of categories."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.codecs import CategoricalCodec, Codec, fit_categorical, fit_numeric
from spark_synth.encoding.copies import Copies
from spark_synth.encoding.edges import plan_edges, unique_sets
from spark_synth.encoding.hhmm import clock_rule, find_clocks, may_be_clock
from spark_synth.encoding.keys import KeyPlan, fit_key
from spark_synth.encoding.near import near_plans, near_rule
from spark_synth.encoding.plan import SAME, How, TablePlan, ValuePlan
from spark_synth.encoding.profile import NumericProfile, ValueCounts, numeric_profiles, value_counts
from spark_synth.encoding.rows import empty_time, unit_of
from spark_synth.encoding.text import fit_texts, guess_provider
from spark_synth.encoding.views import SECONDS_PER_DAY, in_seconds, key_text, number_of, quoted
from spark_synth.schema.check import INTEGERS
from spark_synth.schema.model import ForeignKey, Kind, Schema, Table

MAX_CATEGORIES = 250
MAX_REFERENCE_KEYS = 5000
TIME_NAME = re.compile(r"year|season|date|time|day|seq|month|week", re.IGNORECASE)


@dataclass(frozen=True)
class ColumnSettings:
    """max_bins: codes per numeric column at most; rare_threshold: rows a category needs, None = by table size;
    clusters: of the rows that own these, if families take the courses of real ones, else 0."""

    max_bins: int
    rare_threshold: int | None
    clusters: int = 0

    def threshold(self, rows: int) -> int:
        """Rows that a category needs to be emitted: 1 in tiny tables (look-up like), 3 from 1,000 rows, up to 5."""
        if self.rare_threshold is not None:
            return self.rare_threshold
        return 1 if rows < 1000 else min(5, 3 + rows // 8000)


def plan_columns(
    df: DataFrame,
    name: str,
    schema: Schema,
    owner: ForeignKey | None,
    settings: ColumnSettings,
    rules: list[dict[str, Any]],
    near: Mapping[str, str],
    copies: Mapping[str, Copies],
) -> TablePlan:
    """The plan of `df` with every column coded; degrees, summaries and time codecs are still to come.

    rules, near: of encoding.derive; columns that rules derive are not coded, those of `near` as differences. copies: of
    encoding.copies, by foreign key; not coded either.
    `derived` of the plan is still to be sorted.
    """
    table = schema.table(name)
    types = {c: v.type or "string" for c, v in table.columns.items()}
    taken = [c for pairs in copies.values() for c, _ in pairs]
    copied = {c for c in taken if not c.startswith(SAME)}
    rules = [r for r in rules if r["column"] not in copied]
    near = {c: b for c, b in near.items() if not copied & {c, b}}
    stats = _Statistics(df, table, types, {r["column"] for r in rules if r["kind"] == "derived"} | copied)
    plan = TablePlan(name, types, stats.rows, list(table.primary_key), table.reference)
    nulls = {c: stats.nulls(c) for c in table.foreign_key_columns()}
    plan.owner, plan.links = plan_edges(schema, name, owner, nulls)
    plan.clusters = settings.clusters if plan.owner else 0
    for edge in plan.edges:
        edge.copies = copies.get(edge.name, ())
    plan.unique = unique_sets(df, table, plan)
    plan.keys = _keys(df, table, plan)
    time = _time_column(table, types, stats) if plan.owner else None
    if time:
        plan.time = empty_time(time, types[time], unit_of(df, time, types[time]))
    coded = [c for c in stats.coded if c != time]
    bounded = {c for r in rules if r["kind"] == "clip" for c in (r["column"], *r["inputs"])}  # coded by themselves
    clocks = find_clocks(df, *_clock_candidates(table, types, coded, stats, rules), bounded)
    made = {
        c: ValuePlan(c, How.CLOCK, [fit_numeric(k.profile, None, settings.max_bins)], base=k.base)
        for c, k in clocks.items()
    }
    free = set(coded) - bounded - set(clocks) - stats.few(settings.max_bins)
    pairs = {c: b for c, b in near.items() if c in free}
    differences = near_plans(df, pairs, types, stats.profiles, settings.max_bins)
    made |= differences
    _plan_values(df, coded, plan, stats, made, settings)
    plan.derived = rules + [clock_rule(c, k, f"__since_{c}") for c, k in clocks.items() if k.base]
    plan.derived += [near_rule(c, near[c], stats.profiles[c], f"__since_{c}") for c in differences]
    _plan_links(df, plan, stats)
    texts = {
        v.column: table.columns[v.column].provider or guess_provider(v.column) for v in plan.values if v.how is How.FLAG
    }
    plan.texts = fit_texts(df, texts, next((v.country for v in plan.values if v.country), None))
    _plan_same(plan, [c for c in taken if c.startswith(SAME)])
    # Columns that are never NULL need no flag; the text itself is made without the network.
    plan.values = [v for v in plan.values if v.how is not How.FLAG or stats.nulls(v.column)]
    return plan


class _Statistics:
    """Profiles of a table's columns: numbers and dates as they are, all others as present or NULL."""

    def __init__(self, df: DataFrame, table: Table, types: dict[str, str], derived: set[str]) -> None:
        self.table, self.types = table, types
        owned = set(table.primary_key) | table.foreign_key_columns()
        kinds = {c: v.kind for c, v in table.columns.items()}
        self.coded = [
            c
            for c in table.columns
            if c not in derived
            and c not in table.foreign_key_columns()
            and kinds[c] is not Kind.KEY
            and not (c in owned and kinds[c] in (Kind.TEXT, Kind.PII))
        ]
        self.numbers = [c for c in self.coded if kinds[c] is Kind.NUMERIC]
        self.dates = [c for c in self.coded if kinds[c] is Kind.DATETIME]
        views: dict[str, Column] = {c: number_of(quoted(c), types[c]) for c in self.numbers + self.dates}
        for c in table.columns:
            views.setdefault(c, F.when(quoted(c).isNotNull(), 1.0))
        for c in self.dates:
            if types[c].startswith("timestamp"):
                views[f"{c}\x1eday"] = F.floor(number_of(quoted(c), types[c]) / SECONDS_PER_DAY).cast("double")
                views[f"{c}\x1esecond"] = F.pmod(number_of(quoted(c), types[c]), F.lit(float(SECONDS_PER_DAY)))
            for base in self.dates:
                if base != c:
                    views[f"{c}\x1f{base}"] = self._difference(c, base)
        self.profiles = numeric_profiles(df, views)
        self.rows = next(iter(self.profiles.values())).rows

    def nulls(self, column: str) -> int:
        """NULLs of a column."""
        return self.profiles[column].nulls

    def few(self, most: int) -> set[str]:
        """Numeric columns with about `most` different values or fewer."""
        return {c for c in self.numbers if self.profiles[c].distinct <= most * 1.1}

    def difference(self, column: str, base: str) -> NumericProfile:
        """Profile of `column` - `base`, in units of `unit`."""
        return self.profiles[f"{column}\x1f{base}"]

    def unit(self, column: str, base: str) -> int:
        """Seconds per unit of the difference of two columns."""
        return SECONDS_PER_DAY if self.types[column] == self.types[base] == "date" else 1

    def unit_ratio(self, column: str, base: str) -> float:
        """What the spread of `column` in its own unit is in units of the difference."""
        return (
            1.0 if self.types[column] == self.types[base] else SECONDS_PER_DAY if self.types[column] == "date" else 1.0
        )

    def _difference(self, column: str, base: str) -> Column:
        own = in_seconds(number_of(quoted(column), self.types[column]), self.types[column])
        other = in_seconds(number_of(quoted(base), self.types[base]), self.types[base])
        return F.floor((own - other) / self.unit(column, base)).cast("double")


def _keys(df: DataFrame, table: Table, plan: TablePlan) -> list[KeyPlan]:
    """Plans of key columns that are made, not linked: the primary key, and other unique identifiers."""
    linked = table.foreign_key_columns()
    made = [c for c, v in table.columns.items() if c not in linked and v.kind is Kind.KEY]
    made += [
        c
        for c in table.primary_key
        if c not in linked and c not in made and table.columns[c].kind in (Kind.TEXT, Kind.PII)
    ]
    composite = (
        len(table.primary_key) > 1 and plan.owner is not None and set(plan.owner.columns) & set(table.primary_key)
    )
    plans = []
    for c in made:
        key = fit_key(df, c, plan.columns[c])
        in_family = composite and c in table.primary_key and key.how == "integer"
        plans.append(KeyPlan(c, "position") if in_family else key)
    return plans


def _time_column(table: Table, types: dict[str, str], stats: _Statistics) -> str | None:
    """The column that orders a family: the first date without NULLs, else a whole number named like a time.

    A date in the primary key comes first: times under a strict plan never repeat within a family, so the key holds.
    """
    for c in sorted(stats.dates, key=lambda d: d not in table.primary_key):
        if stats.nulls(c) == 0:
            return c
    named = (c for c in stats.numbers if types[c] in INTEGERS and TIME_NAME.search(c) and stats.nulls(c) == 0)
    return next(named, None)


def _clock_candidates(
    table: Table, types: dict[str, str], coded: list[str], stats: _Statistics, rules: list[dict[str, Any]]
) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """The columns that encoding.hhmm.find_clocks looks at, and those that rules compute."""
    candidates = [c for c in coded if c in stats.numbers and may_be_clock(stats.profiles[c])]
    inputs = {r["column"]: tuple(r["inputs"]) for r in rules}
    computed: dict[str, tuple[str, ...]] = {}
    for r in rules:
        column = r["column"]
        if r["kind"] == "derived" and types[column] in INTEGERS and table.columns[column].kind is Kind.NUMERIC:
            computed[column] = _all_inputs(column, inputs)
    return candidates, computed


def _all_inputs(column: str, inputs: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """All that a column is computed from, directly or not."""
    found = dict.fromkeys(inputs.get(column, ()))
    for c in list(found):
        found |= dict.fromkeys(_all_inputs(c, inputs))
    return tuple(found)


def _plan_values(
    df: DataFrame,
    coded: list[str],
    plan: TablePlan,
    stats: _Statistics,
    made: Mapping[str, ValuePlan],
    settings: ColumnSettings,
) -> None:
    """The plans of `coded` in their order: those already `made`, and all others from the commonest values."""
    few = stats.few(settings.max_bins)
    names = [c for c in coded if stats.table.columns[c].kind in (Kind.CATEGORICAL, Kind.BOOLEAN)]
    wanted = {c: quoted(c) for c in [*few, *names]}
    counts = value_counts(df, wanted, max(settings.max_bins, MAX_CATEGORIES) + 1)
    for c in coded:
        plan.values.append(made.get(c) or _value(c, plan, stats, counts.get(c), settings))


def _value(
    c: str, plan: TablePlan, stats: _Statistics, counts: ValueCounts | None, settings: ColumnSettings
) -> ValuePlan:
    profile, kind = stats.profiles[c], stats.table.columns[c].kind
    if kind is Kind.NUMERIC:
        return ValuePlan(c, How.NUMERIC, [fit_numeric(profile, counts, settings.max_bins)])
    if kind is Kind.DATETIME:
        return _date(c, plan, stats, settings)
    if kind in (Kind.CATEGORICAL, Kind.BOOLEAN) and counts is not None:
        codec = fit_categorical(counts, plan.rows, profile.nulls, MAX_CATEGORIES, settings.threshold(plan.rows))
        if codec.categories or profile.nulls == plan.rows:
            return ValuePlan(c, How.CATEGORY, [codec])
    return ValuePlan(c, How.FLAG, [_flag()])


def _date(c: str, plan: TablePlan, stats: _Statistics, settings: ColumnSettings) -> ValuePlan:
    base = (
        plan.time.column
        if plan.time and plan.time.type != "int"
        else next((d for d in stats.dates if not stats.nulls(d)), None)
    )
    if (
        base in stats.dates
        and base != c
        and stats.difference(c, base).std < stats.profiles[c].std * stats.unit_ratio(c, base)
    ):
        codec = fit_numeric(stats.difference(c, base), None, settings.max_bins)
        return ValuePlan(c, How.SINCE, [codec], base=base, unit=stats.unit(c, base))
    if plan.columns[c] == "date":
        return ValuePlan(c, How.DAY, [fit_numeric(stats.profiles[c], None, settings.max_bins)])
    day, second = stats.profiles[f"{c}\x1eday"], stats.profiles[f"{c}\x1esecond"]
    codecs: list[Codec] = [fit_numeric(day, None, settings.max_bins), fit_numeric(second, None, settings.max_bins)]
    return ValuePlan(c, How.MOMENT, codecs)


def _plan_links(df: DataFrame, plan: TablePlan, stats: _Statistics) -> None:
    """One code per kept key for links into reference tables."""
    known = {k.name: k for k in plan.links if k.reference}
    counts = value_counts(
        df, {n: key_text([quoted(c) for c in k.columns]) for n, k in known.items()}, MAX_REFERENCE_KEYS
    )
    for name, link in known.items():
        keys = counts[name]
        codec = CategoricalCodec(link.nullable, [v for v, _ in keys], [float(n) for _, n in keys], other=not keys)
        plan.values.append(ValuePlan(name, How.REFERENCE, [codec], keys=link.columns))


def _plan_same(plan: TablePlan, names: list[str]) -> None:
    """Before each column that mostly equals one at the other end of a foreign key, whether it does; not where a rule
    computes it from others."""
    computed = {d["column"] for d in plan.derived}
    plain = (How.NUMERIC, How.CATEGORY, How.DAY, How.MOMENT, How.FLAG)
    known = {v.column: v for v in plan.values if v.how in plain and v.column not in computed}
    wanted = [c for c in names if c.removeprefix(SAME) in known]
    for name in wanted:
        codec = CategoricalCodec(nullable=False, categories=["true", "false"], counts=[1.0, 1.0])
        place = plan.values.index(known[name.removeprefix(SAME)])
        plan.values.insert(place, ValuePlan(name, How.SAME, [codec]))
    for edge in plan.edges:
        edge.copies = tuple((c, p) for c, p in edge.copies if not c.startswith(SAME) or c in wanted)


def _flag() -> CategoricalCodec:
    """NULL or present: the codec of FLAG values."""
    return CategoricalCodec(nullable=True, categories=["1.0"], counts=[1.0])
