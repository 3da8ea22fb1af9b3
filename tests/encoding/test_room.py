"""How often a family may have each code of a link."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from pyspark.sql import SparkSession

from spark_synth.encoding.room import ANY, real_room
from spark_synth.schema import Schema
from tests.encoding.fitting import fitted_to


def test_a_family_may_have_what_is_linked_to_once(spark: SparkSession, tmp_path: Path) -> None:
    """Orders with different products each; a fifth of the 120 products are in none, some lines have no product. Notes
    on lines have a product, too, but may repeat one."""
    rng = np.random.default_rng(0)
    products = pd.DataFrame({"id": np.arange(120), "price": rng.gamma(2, 20, 120).round(2)})
    found = np.concatenate([rng.choice(96, 5, replace=False) for _ in range(300)])
    lines = pd.DataFrame({"id": np.arange(1500), "order": np.arange(1500) // 5, "product": found})
    notes = pd.DataFrame({"id": np.arange(900), "order": np.arange(900) // 3, "product": rng.integers(0, 9, 900)})
    lines["product"] = lines["product"].astype("Int64").mask(lines["id"] % 5 == 2)
    frames = {"orders": pd.DataFrame({"id": np.arange(300)}), "products": products, "lines": lines, "notes": notes}
    schema = Schema()
    for name, frame in frames.items():
        schema.add_table(name, "id", {"price": "numeric"} if "price" in frame else {})
    for name in ("lines", "notes"):
        schema.add_foreign_key(f"{name}.order", "orders.id").add_foreign_key(f"{name}.product", "products.id")
    tables = {t: spark.createDataFrame(f.astype(object).where(f.notna(), None)) for t, f in frames.items()}
    fitted = fitted_to(spark, schema, tables, tmp_path)
    rows = fitted.frame(spark, "products").toPandas()
    sold = rows["id"].isin(lines["product"].dropna().astype(int))
    counts = rows[sold].groupby("__code").size().reindex(range(20), fill_value=0).tolist()
    (link,) = fitted.plans["lines"].matched
    assert link.nullable and sum(counts) == 96
    assert real_room(fitted.plans["lines"]) == {link.at: [ANY, *counts]}
    assert real_room(fitted.plans["notes"]) == {}
