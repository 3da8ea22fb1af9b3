"""The rows that were held out are found among the real rows again."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_synth.encoding.held import held_rows
from spark_synth.schema import Schema
from tests.encoding.conftest import Encoded
from tests.encoding.fitting import SEED


def test_held_out_rows_are_found_by_their_keys(spark: SparkSession, encoded: Encoded, tmp_path: Path) -> None:
    fitted = encoded.fitted
    sales = spark.createDataFrame(
        encoded.sales.astype(object).to_numpy().tolist(), "no int, shop int, day date, amount double"
    )
    schema = Schema().add_table("shops", "id").add_table("sales", "no")
    plans = {"sales": fitted.plans["sales"]}
    found = held_rows(spark, {"sales": sales}, schema, plans, fitted.work, SEED)["sales"]
    assert found.columns == sales.columns
    numbers = {r["no"] for r in found.collect()}
    kept = spark.read.parquet(f"{fitted.work}/encoded/sales").where(F.col("__holdout"))
    assert numbers == {r["no"] for r in kept.collect()} and len(numbers) == encoded.sets["sales"].holdout_rows > 0
    assert held_rows(spark, {"sales": sales}, schema, plans, str(tmp_path), SEED) == {}
