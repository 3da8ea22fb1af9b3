"""How many digits after the point a column has."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_synth.encoding.profile import numeric_profiles

RNG = np.random.default_rng(0)
AMOUNTS = np.round(RNG.lognormal(3, 1.5, 300), 2)


@pytest.mark.parametrize(
    ("values", "digits"),
    [
        (AMOUNTS, 2),
        (AMOUNTS.astype(np.float32).astype(float), 2),  # 32.3800011: cents, kept in single precision
        (AMOUNTS.astype(np.float32).astype(str).astype(float), 2),
        (np.round(1e6 * AMOUNTS + 0.17, 2), 2),  # single precision has no cents of a million: they are meant
        (np.round(AMOUNTS, 0), 0),
        (AMOUNTS / 7, None),
        (RNG.random(300).astype(np.float32).astype(float), None),
        (RNG.random(300).round(6), 6),
    ],
)
def test_digits_are_those_that_were_meant(values: np.ndarray, digits: int | None, spark: SparkSession) -> None:
    frame = spark.createDataFrame([(float(v),) for v in values], "v double")
    assert numeric_profiles(frame, {"v": F.col("v")})["v"].decimals == digits
