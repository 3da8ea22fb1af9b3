"""What rows carry of the rows two levels below."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from pyspark.sql import SparkSession

from spark_synth.pipeline.jobs import Network, generator_spec
from spark_synth.schema import Schema
from spark_synth.schema.graph import owners_last
from spark_synth.schema.model import ForeignKey
from tests.encoding.fitting import fitted_to


def test_owners_carry_the_means_of_what_their_rows_carry(spark: SparkSession, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    orders = pd.DataFrame({"id": np.arange(200), "customer": rng.integers(0, 39, 200), "fee": rng.random(200)})
    lines = pd.DataFrame({"id": np.arange(600), "order": rng.integers(0, 190, 600), "amount": rng.random(600)})
    customers = pd.DataFrame({"id": np.arange(40), "age": rng.integers(20, 60, 40)})
    schema = Schema()
    tables = {}
    for name, frame in (("customers", customers), ("orders", orders), ("lines", lines)):
        schema.add_table(name, "id", {c: "numeric" for c in ("age", "fee", "amount") if c in frame})
        tables[name] = spark.createDataFrame(frame)
    schema.add_foreign_key("orders.customer", "customers.id")
    schema.add_foreign_key("lines.order", "orders.id")
    fitted = fitted_to(spark, schema, tables, tmp_path)
    plan = fitted.plans["customers"]
    deep = {s.stat: i for i, s in enumerate(plan.summaries) if ":" in s.stat}
    assert set(deep) == {"degree:0", "below:0"} and plan.summaries[deep["below:0"]].column == "amount"

    at = [plan.degrees[0].at, plan.values[0].at, plan.summaries[deep["below:0"]].at]
    assert plan.named(at) == ["age", "number of orders", "below:0 of amount of orders"] and not plan.named([])

    frame = fitted.frame(spark, "customers").toPandas().set_index("id")
    by_order = lines.groupby("order")["amount"].mean().reindex(orders["id"])
    sizes = lines.groupby("order").size().reindex(orders["id"], fill_value=0)
    for stat, values in (("degree:0", sizes), ("below:0", by_order)):
        wanted = values.groupby(orders.set_index("id")["customer"]).mean().reindex(customers["id"])
        np.testing.assert_allclose(frame[f"__sum_{deep[stat]}"].sort_index(), wanted, rtol=1e-6)

    below = fitted.plans["orders"]
    spec = generator_spec(below, fitted.plans, [[1.0] * c for c in below.cards], Network(8, 4, 0.0), structure=False)
    assert spec.summaries[below.degrees[0].at] == [plan.summaries[deep["degree:0"]].at]
    assert spec.summaries[below.summaries[0].at] == [plan.summaries[deep["below:0"]].at]


def test_levels_begin_below() -> None:
    def key(parent: str) -> ForeignKey:
        return ForeignKey(name=parent, columns=("p",), parent=parent, parent_columns=("id",))

    owners = {"a": None, "b": key("a"), "c": key("b"), "d": key("a"), "e": None}
    assert owners_last(owners) == [["c", "d", "e"], ["b"], ["a"]]
