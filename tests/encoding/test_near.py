"""Numbers coded as differences: which pairs are, and that the rule gives the number back within its range."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_synth.encoding.columns import ColumnSettings, plan_columns
from spark_synth.encoding.derive import find_rules
from spark_synth.encoding.plan import How, TablePlan
from spark_synth.encoding.views import value_view
from spark_synth.generation.decode import late_columns, typed_columns
from spark_synth.schema.model import Column, Schema, Table, parse_kind

ROWS = 900
KINDS = {
    "late": "numeric",
    "later": "numeric",
    "other": "numeric",
    "part": "numeric",
    "dear": "numeric",
    "cheap": "numeric",
}


@pytest.fixture(scope="module")
def rides(spark: SparkSession) -> DataFrame:
    """Delays with a long tail, the second near the first and NULL more often; a number of its own; one
    that is 0.8 times the first; two numbers that
    are 0 in the same half of the rows and else have nothing to do with each other."""
    rng = np.random.default_rng(5)
    late = np.round(rng.exponential(40, ROWS) ** 1.3).astype(int) - 10
    data = pd.DataFrame({"late": late, "later": late + rng.integers(-15, 16, ROWS), "other": rng.permutation(late)})
    data["part"] = (0.8 * late + rng.integers(-3, 4, ROWS)).astype(int)
    recorded = rng.random(ROWS) < 0.5
    data["dear"] = np.where(recorded, rng.normal(9000, 300, ROWS).round(2), 0)
    data["cheap"] = np.where(recorded, rng.normal(9000, 300, ROWS).round(2), 0)
    frame = spark.createDataFrame(data).withColumn("late", F.expr("if(late % 17 = 0, null, cast(late as int))"))
    return frame.withColumn("later", F.expr("if(late is null or other % 19 = 0, null, cast(later as int))"))


def planned(df: DataFrame) -> TablePlan:
    types = dict(df.dtypes)
    kinds = {c: KINDS[c] for c in df.columns}
    columns: dict[str, Column] = {
        c: parse_kind(k, "t", c).model_copy(update={"type": types[c]}) for c, k in kinds.items()
    }
    table = Table(columns=columns)
    rules, near = find_rules(df, table, None, 7)
    return plan_columns(df, "t", Schema(tables={"t": table}), None, ColumnSettings(64, None), rules, near, {})


def hows(plan: TablePlan) -> dict[str, tuple[How, str | None]]:
    return {v.column: (v.how, v.base) for v in plan.values}


def test_only_a_number_near_another_is_a_difference(rides: DataFrame) -> None:
    found = hows(planned(rides))
    assert found.pop("later") == (How.NEAR, "late")
    assert set(found.values()) == {(How.NUMERIC, None)}


def test_a_value_without_its_base_is_coded_by_itself(rides: DataFrame) -> None:
    odd = rides.withColumn("late", F.expr("if(late = 21, null, late)"))
    assert odd.where("late is null and later is not null").count() > 0
    assert hows(planned(odd))["later"] == (How.NUMERIC, None)


def test_the_rule_gives_the_number_back_and_keeps_its_range(rides: DataFrame) -> None:
    plan = planned(rides)
    value, rule = plan.value("later"), next(r for r in plan.derived if r["column"] == "later")
    assert value is not None
    coded = rides.withColumn("__since_later", value_view(value, plan.columns))
    assert coded.where(f"NOT (CAST({rule['sql']} AS INT) <=> later)").isEmpty()
    low, high = rides.agg(F.min("later"), F.max("later")).head() or (0, 0)
    far = coded.withColumn("__since_later", F.expr("IF(rand(1) < 0.5, -1e6, 1e6)"))
    reached = far.selectExpr(f"CAST({rule['sql']} AS INT) AS v").distinct().dropna().collect()
    assert {r["v"] for r in reached} == {low, high}


def test_the_difference_stays_hidden_until_the_rule(rides: DataFrame) -> None:
    plan = planned(rides)
    assert "later" not in typed_columns(plan)
    assert [str(c).split(" AS ")[-1].rstrip("'>") for c in late_columns(plan)] == ["__since_later"]
