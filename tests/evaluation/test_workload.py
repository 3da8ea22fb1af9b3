"""Answers of the same SQL over two databases: groups told from values, counts scaled, what is missing seen."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from spark_synth.errors import UserError
from spark_synth.evaluation.workload import Query, compare, default_queries, evaluate_workload, read_queries
from spark_synth.schema import Schema

NAME = "odd `name`"


def schema() -> Schema:
    made = Schema().add_table(NAME, "id", {"id": "key", "kind": "categorical"})
    made.add_table("b", None, {"a": "key", "day": "datetime", "paid.in": "numeric", "how": "categorical"})
    return made.add_foreign_key("b.a", f"{NAME}.id")


def database(spark: SparkSession, paid: float = 10.0, kinds: str = "xxyy") -> dict[str, DataFrame]:
    """Four rows with two below each."""
    parents = pd.DataFrame({"id": range(4), "kind": list(kinds)})
    rows = [(i % 4, pd.Timestamp(2020, 1 + i % 2, 3), paid, "card") for i in range(8)]
    children = pd.DataFrame(rows, columns=["a", "day", "paid.in", "how"])
    return {NAME: spark.createDataFrame(parents), "b": spark.createDataFrame(children)}


def test_the_default_workload_runs_over_any_names(spark: SparkSession) -> None:
    real = database(spark)
    queries, queries_of_b = default_queries(schema()), [f"b by {NAME}.kind (a)", "b by month of day", "top 10 of b.how"]
    assert [q.name for q in queries] == [
        "rows of every table",
        f"b by {NAME}.kind (a)",
        "b by month of day",
        f"top 10 of {NAME}.kind",
        "top 10 of b.how",
    ]
    found = evaluate_workload(spark, queries, real, real, (real, real), 1.0)
    assert found["score"] == found["best"] == 1
    assert all(q["error"] == 0 and q["missing"] == q["invented"] == 0 for q in found["queries"])
    assert [q["groups"][0] for q in found["queries"]] == [2, 2, 2, 2, 1]
    assert [q.name for q in default_queries(schema(), kept={NAME})][1:] == queries_of_b
    assert spark.catalog.listTables() == []


def test_errors_are_relative_and_groups_that_are_not_there_count(spark: SparkSession) -> None:
    real, synth = database(spark), database(spark, paid=15.0, kinds="xxxz")
    queries = default_queries(schema())
    found = {q["name"]: q for q in evaluate_workload(spark, queries, real, synth, None, 1.0)["queries"]}
    by = found[f"b by {NAME}.kind (a)"]
    assert by["values"]["rows"] == pytest.approx((2 + 4 + 2) / 8)  # x: 6 of 4, y: 0 of 4, z: 2 of 0
    assert by["values"]["mean paid.in"] == pytest.approx(0.5)
    assert (by["missing"], by["invented"], by["best"]) == (0.5, 0.5, None)
    assert found["b by month of day"]["values"] == {"rows": 0.0, "sum paid.in": pytest.approx(0.5)}
    assert found[f"top 10 of {NAME}.kind"]["overlap"] == 0.5


def test_counts_and_sums_are_scaled_by_the_ratio_and_means_are_not(spark: SparkSession) -> None:
    real = database(spark)
    synth = {t: rows.unionByName(rows) for t, rows in real.items()}
    sql = "SELECT how, count(*) AS n, sum(`paid.in`) AS s, avg(`paid.in`) AS m FROM b GROUP BY how ORDER BY n"
    only = evaluate_workload(spark, [Query("q", sql)], real, synth, None, 2.0)["queries"][0]
    assert only["values"] == {"n": 0.0, "s": 0.0, "m": 0.0} and only["overlap"] is None
    assert evaluate_workload(spark, [Query("q", sql)], real, synth, None, 1.0)["queries"][0]["values"]["n"] == 1


def test_a_query_without_groups_and_one_without_an_aggregate(spark: SparkSession) -> None:
    real, synth = database(spark), database(spark, paid=20.0)
    queries = [
        Query("one", "SELECT max(`paid.in`) AS most FROM b"),
        Query("rows", "SELECT how, `paid.in` FROM b WHERE a = 1"),
    ]
    one, rows = evaluate_workload(spark, queries, real, synth, None, 1.0)["queries"]
    assert one["values"] == {"most": 1.0} and one["groups"] == [1, 1]
    assert rows["values"] == {"paid.in": 1.0} and rows["groups"] == [2, 2] and rows["missing"] == 0


def test_what_does_not_run_is_named(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "bad.sql").write_text("SELECT nothing FROM b;\n")
    queries = read_queries(tmp_path)
    assert queries == [Query("bad", "SELECT nothing FROM b")]
    real = database(spark)
    with pytest.raises(UserError, match="^query bad: .*nothing"):
        evaluate_workload(spark, queries, real, real, None, 1.0)
    assert spark.catalog.listTables() == []


def test_nothing_real_is_nothing_to_compare() -> None:
    from spark_synth.evaluation.workload import Answer

    empty = Answer(pd.DataFrame({"n": []}, dtype=float), frozenset({"n"}), False)
    some = Answer(pd.DataFrame({"n": [2.0]}, index=pd.Index(["x"])), frozenset({"n"}), False)
    found = compare(empty, some, 1.0)
    assert found["values"] == {"n": None} and found["error"] is None and found["invented"] == 1
