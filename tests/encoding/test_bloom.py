from __future__ import annotations

import numpy as np
from pyspark.sql import SparkSession

from spark_synth.encoding.bloom import Bloom, build_blooms


def test_every_value_is_found_and_hardly_any_other(spark: SparkSession) -> None:
    rows = [(f"key {i}", None if i % 3 else f"é{i}") for i in range(6000)]
    df = spark.createDataFrame(rows, "`a.b` string, t string").repartition(3)
    words = build_blooms(df, {"a.b": 6000, "t": 6000})
    first, second = Bloom(words["a.b"]), Bloom(words["t"])
    assert first.contains(np.array([r[0] for r in rows], dtype=object)).all()
    assert second.contains(np.array([r[1] for r in rows if r[1]], dtype=object)).all()
    others = np.array([f"other {i}" for i in range(20000)], dtype=object)
    assert first.contains(others).mean() < 0.01
    assert second.contains(others).mean() < 0.01


def test_no_columns_no_work(spark: SparkSession) -> None:
    assert build_blooms(spark.range(1), {}) == {}
