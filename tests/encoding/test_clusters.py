"""Clusters of linked rows go by what the rows that link to them take over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from pyspark.sql import SparkSession

from spark_synth.schema import Schema
from tests.encoding.fitting import fitted_to

NOISE = [f"noise{i}" for i in range(8)]


def test_clusters_tell_what_is_copied(spark: SparkSession, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = {n: rng.random(120) for n in NOISE}
    products = pd.DataFrame({"id": np.arange(120), "price": rng.gamma(2, 20, 120).round(2), **noise})
    lines = pd.DataFrame({"id": np.arange(1500), "order": np.arange(1500) // 5, "product": rng.integers(0, 120, 1500)})
    lines["price"] = products["price"].to_numpy()[lines["product"]]
    schema, tables = Schema(), {}
    for name, frame in (("orders", pd.DataFrame({"id": np.arange(300)})), ("products", products), ("lines", lines)):
        schema.add_table(name, "id", {c: "numeric" for c in ("price", *NOISE) if c in frame})
        tables[name] = spark.createDataFrame(frame)
    schema.add_foreign_key("lines.order", "orders.id")
    schema.add_foreign_key("lines.product", "products.id")
    fitted = fitted_to(spark, schema, tables, tmp_path)
    (link,) = fitted.plans["lines"].matched
    assert link.copies == (("price", "price"),)
    rows = fitted.frame(spark, "products").toPandas()

    def told(column: str) -> float:
        ranks = rows[column].rank()
        return 1 - float((ranks - ranks.groupby(rows["__code"]).transform("mean")).var() / ranks.var())

    assert rows["__code"].nunique() == 20
    (degree,) = fitted.plans["products"].degrees
    sold = tables["lines"].groupBy("product").count().toPandas().set_index("product")["count"]
    degrees = rows["id"].map(sold).fillna(0).astype(int)
    assert degree.by_code == [sorted(degrees[rows["__code"] == c]) for c in range(20)]
    assert told("price") > max(0.7, 1.5 * max(told(n) for n in NOISE))
