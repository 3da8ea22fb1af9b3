"""Workload fidelity: the same SQL over the real and the synthetic database, answers side by side."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import NumericType

from spark_synth.errors import UserError
from spark_synth.evaluation.ceiling import NOISE
from spark_synth.evaluation.measures import mean
from spark_synth.schema.model import ForeignKey, Kind, Schema
from spark_synth.schema.names import quote

MOST_GROUPS = 10_000  # rows of an answer that are compared
MOST_QUERIES = 24  # of a workload that nobody wrote
TOP = 10
_SCALES = re.compile(r"^(count|sum)\(", re.IGNORECASE)


@dataclass(frozen=True)
class Query:
    """Some SQL, and what it is called."""

    name: str
    sql: str


@dataclass(frozen=True)
class Answer:
    """What a query found. rows: groups by their names (text, one string a row) with float64 values.

    scales: the values that grow with the number of rows, which are counts and sums; limited: whether only the first
    groups were asked for.
    """

    rows: pd.DataFrame
    scales: frozenset[str]
    limited: bool


def read_queries(folder: Path) -> list[Query]:
    """The queries of all files *.sql in a folder, by name."""
    files = sorted(folder.glob("*.sql"))
    return [Query(f.stem, f.read_text(encoding="utf-8").strip().rstrip(";")) for f in files]


def default_queries(schema: Schema, kept: Collection[str] = ()) -> list[Query]:
    """What anybody would ask of a database: rows of every table, child rows by a category of their parents, sums by
    month, the commonest categories. Tables whose real rows are `kept` are not asked about by themselves. Of many
    tables the first queries of each kind."""
    made = [t for t in schema.tables if t not in kept]
    kinds = [list(kind(schema, made)) for kind in (_counts, _by_parent, _by_month, _commonest)]
    taken = [q for each in zip_longest(*kinds) for q in each if q][:MOST_QUERIES]
    return [q for kind in kinds for q in kind if q in taken]


def evaluate_workload(
    spark: SparkSession,
    queries: Sequence[Query],
    real: Mapping[str, DataFrame],
    synth: Mapping[str, DataFrame],
    halves: tuple[Mapping[str, DataFrame], Mapping[str, DataFrame]] | None,
    ratio: float,
) -> dict[str, Any]:
    """`queries`: for each the relative error of its values, groups missing and invented, top-k overlap, and `best`, the
    error of another sample of the same source as halves of the real rows let expect it (see evaluation.ceiling);
    `score`: mean over the queries of 1 - error and, of those with a limit, the overlap; `best`: of 1 - error, of that.

    UserError where a query does not run over the real tables. The tables are views for the time being.
    """
    found = []
    sides = [_answers(spark, queries, frames) for frames in (real, synth, *(halves or ()))]
    for query, *answers in zip(queries, *sides, strict=True):
        parts = compare(answers[2], answers[3], 1.0)["error"] if halves else None
        best = None if parts is None else parts * NOISE
        found.append({"name": query.name, "sql": query.sql, **compare(answers[0], answers[1], ratio), "best": best})
    others = (1 - min(1.0, q["best"]) for q in found if q["best"] is not None)
    return {"queries": found, "score": mean(_score(q) for q in found), "best": mean(others)}


def compare(real: Answer, synth: Answer, ratio: float) -> dict[str, Any]:
    """How far the answers are apart. `values`: by column the summed difference over the summed real size; counts and
    sums are divided by `ratio`, and 0 where a group is not there; other values are compared where both have them.
    `missing`, `invented`: shares of the groups of one side that the other lacks. `overlap`: the share of the real
    groups that are there, of a query with a limit."""
    both = real.rows.join(synth.rows, how="outer", lsuffix="|real", rsuffix="|synth")
    values = {}
    for column in real.rows.columns:
        a, b = both[f"{column}|real"], both[f"{column}|synth"]
        a, b = (a.fillna(0), b.fillna(0) / ratio) if column in real.scales else (a, b)
        there = a.notna() & b.notna()
        size = a[there].abs().sum()
        values[column] = float((a - b)[there].abs().sum() / size) if size > 0 else None
    lost = _share(real.rows.index.difference(synth.rows.index), real.rows.index)
    return {
        "groups": [len(real.rows), len(synth.rows)],
        "values": values,
        "error": mean(values.values()),
        "missing": lost,
        "invented": _share(synth.rows.index.difference(real.rows.index), synth.rows.index),
        "overlap": 1 - lost if real.limited else None,
    }


def _share(part: pd.Index[Any], whole: pd.Index[Any]) -> float:
    return len(part) / len(whole) if len(whole) else 0.0


def _score(found: Mapping[str, Any]) -> float | None:
    parts = [None if found["error"] is None else 1 - min(1.0, found["error"]), found["overlap"]]
    return mean(parts)


def _answers(spark: SparkSession, queries: Sequence[Query], frames: Mapping[str, DataFrame]) -> list[Answer]:
    for table, frame in frames.items():
        frame.createOrReplaceTempView(quote(table))
    try:
        return [_answer(spark, query) for query in queries]
    finally:
        for table in frames:
            spark.catalog.dropTempView(table)


def _answer(spark: SparkSession, query: Query) -> Answer:
    """What a query over the views finds."""
    try:
        found = spark.sql(query.sql)
        groups, scales, limited = _roles(found)
        names = [f"c{i}" for i in range(len(found.columns))]
        rows = found.toDF(*names).limit(MOST_GROUPS).toPandas()
    except (AnalysisException, ParseException) as error:
        said = str(error).strip().splitlines()[0]
        raise UserError(f"query {query.name}: {said}") from None
    keys = [n for n, group in zip(names, groups, strict=True) if group]
    titles = {n: t for n, t, group in zip(names, found.columns, groups, strict=True) if not group}
    index = rows[keys].astype(str).agg(" | ".join, axis=1) if keys else pd.Series("all", index=rows.index)
    numbers = rows[list(titles)].apply(pd.to_numeric, errors="coerce").astype(np.float64)
    numbers.index = pd.Index(index + _repeats(index))
    numbers.columns = pd.Index(_unique(list(titles.values())))
    grown = (t for t, n in zip(numbers.columns, titles, strict=True) if scales[names.index(n)])
    return Answer(numbers, frozenset(grown), limited)


def _roles(found: DataFrame) -> tuple[list[bool], list[bool], bool]:
    """For every column of an answer whether it names the group, and whether it grows with the number of rows; and
    whether the query has a limit. What names the group is told by the plan: what an aggregate does not compute; without
    one, what is no number."""
    spark = found.sparkSession
    plan = found._jdf.queryExecution().analyzed()
    limited = plan.nodeName() == "GlobalLimit"
    aggregates: dict[str, str] = {}
    seen = False
    while not seen and plan.children().size() == 1:
        seen = plan.nodeName() == "Aggregate"
        if seen:
            computed = spark._jvm.org.apache.spark.sql.catalyst.expressions.aggregate.AggregateExpression  # type: ignore[union-attr]
            outputs = plan.aggregateExpressions()
            each = [outputs.apply(i) for i in range(outputs.size())]
            aggregates = {e.name(): e.sql() for e in each if computed.containsAggregate(e)}
        plan = plan.children().head()
    numeric = [isinstance(f.dataType, NumericType) for f in found.schema.fields]
    named = [n not in aggregates if seen else not number for n, number in zip(found.columns, numeric, strict=True)]
    return named, [bool(_SCALES.match(aggregates.get(n, ""))) for n in found.columns], limited


def _repeats(index: pd.Series[Any]) -> pd.Series[Any]:
    """What makes equal names of groups differ."""
    number = index.groupby(index).cumcount()
    return number.map(lambda n: f" ({n + 1})" if n else "")


def _unique(titles: list[str]) -> list[str]:
    return [t if titles.index(t) == i else f"{t} ({i + 1})" for i, t in enumerate(titles)]


def _counts(schema: Schema, made: Sequence[str]) -> Iterator[Query]:
    parts = [f"SELECT {n} AS number, count(*) AS n FROM {quote(t)}" for n, t in enumerate(made)]
    if parts:
        inside = " UNION ALL ".join(parts)
        yield Query("rows of every table", f"SELECT number, sum(n) AS rows FROM ({inside}) GROUP BY number")


def _by_parent(schema: Schema, made: Sequence[str]) -> Iterator[Query]:
    for t in made:
        for fk in schema.table(t).foreign_keys:
            if fk.parent == t or not (group := _columns(schema, fk.parent, Kind.CATEGORICAL, Kind.BOOLEAN)):
                continue
            what = "".join(
                f", avg(c.{quote(n)}) AS {quote('mean ' + n)}" for n in _columns(schema, t, Kind.NUMERIC)[:1]
            )
            by = f"p.{quote(group[0])}"
            yield Query(
                f"{t} by {fk.parent}.{group[0]} ({'+'.join(fk.columns)})",
                f"SELECT {by}, count(*) AS rows{what} FROM {quote(t)} c JOIN {quote(fk.parent)} p ON {_match(fk)} "
                f"GROUP BY {by}",
            )


def _by_month(schema: Schema, made: Sequence[str]) -> Iterator[Query]:
    for t in made:
        for when in _columns(schema, t, Kind.DATETIME)[:1]:
            what = "".join(f", sum({quote(n)}) AS {quote('sum ' + n)}" for n in _columns(schema, t, Kind.NUMERIC)[:1])
            month = f"date_format(CAST({quote(when)} AS timestamp), 'yyyy-MM')"
            yield Query(
                f"{t} by month of {when}",
                f"SELECT {month} AS month, count(*) AS rows{what} FROM {quote(t)} GROUP BY {month}",
            )


def _commonest(schema: Schema, made: Sequence[str]) -> Iterator[Query]:
    for t in made:
        for c in _columns(schema, t, Kind.CATEGORICAL)[:1]:
            name = quote(c)
            sql = f"SELECT {name}, count(*) AS rows FROM {quote(t)} GROUP BY {name} ORDER BY rows DESC, {name}"
            yield Query(f"top {TOP} of {t}.{c}", f"{sql} LIMIT {TOP}")


def _columns(schema: Schema, table: str, *kinds: Kind) -> list[str]:
    spec = schema.table(table)
    return [c for c in spec.value_columns() if spec.columns[c].kind in kinds]


def _match(fk: ForeignKey) -> str:
    pairs = zip(fk.columns, fk.parent_columns, strict=True)
    return " AND ".join(f"c.{quote(a)} = p.{quote(b)}" for a, b in pairs)
