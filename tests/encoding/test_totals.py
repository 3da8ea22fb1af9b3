"""Sums of degrees over the rows that a foreign key leads to which follows from another."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from spark_synth.encoding import totals
from spark_synth.encoding.codecs import NumericCodec
from spark_synth.encoding.plan import DegreePlan, TablePlan
from spark_synth.schema import Schema
from spark_synth.schema.overlap import mark_shared

ORDERS = "`a tenant` string, id int, __deg_0 int, __deg_1 int"


def shop() -> Schema:
    """Orders of tenants, their baskets, which have the tenant too, and their notes, which have not."""
    schema = Schema().add_table("t", "id", {}).add_table("o", ["a tenant", "id"], {})
    schema.add_table("b", "id", {}).add_table("n", "id", {})
    schema.add_foreign_key("o.a tenant", "t.id")
    schema.add_foreign_key("b.(tenant,order)", "o.(a tenant,id)").add_foreign_key("b.tenant", "t.id")
    schema.add_foreign_key("n.(which,order)", "o.(a tenant,id)")
    mark_shared(schema)
    return schema


def fitted(spark: SparkSession, rows: list[tuple[str | None, int, int, int]]) -> TablePlan:
    """The plan of orders with the sums of both degrees."""
    schema = shop()
    edges = [("b", schema.table("b").foreign_keys[0].name), ("n", schema.table("n").foreign_keys[0].name)]
    degrees = [DegreePlan(t, edge, NumericCodec(False), [], 0, False) for t, edge in edges]
    plan = TablePlan("o", {"a tenant": "string", "id": "int"}, len(rows), degrees=degrees)
    totals.fit_totals(spark.createDataFrame(rows, ORDERS), plan, schema)
    return plan


def test_every_group_once(spark: SparkSession) -> None:
    plan = fitted(spark, [("x", 1, 3, 9), ("x", 2, 4, 9), ("y", 1, 0, 9), ("z", 1, 1, 9), (None, 1, 8, 9)])
    (found,) = plan.degrees[0].totals
    assert (found.columns, found.sums) == (["a tenant"], [0, 1, 7])
    assert plan.degrees[1].totals == []
    assert TablePlan.from_json(plan.to_json()).degrees == plan.degrees


def test_quantiles_where_groups_are_many(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "MAX_TOTALS", 5)
    (found,) = fitted(spark, [(f"t{i}", 1, i, 0) for i in range(50)]).degrees[0].totals
    assert found.sums == pytest.approx([4, 14, 24, 34, 44], abs=1)


def test_no_rows_no_sums(spark: SparkSession) -> None:
    assert fitted(spark, [(None, 1, 2, 0)]).degrees[0].totals[0].sums == []
