"""Times of day as numbers: found only where every value is one, and coded after the time they follow."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from spark_synth.encoding.hhmm import clock_rule, find_clocks, may_be_clock
from spark_synth.encoding.profile import numeric_profiles
from spark_synth.encoding.views import minutes_after, quoted

ROWS = 600


@pytest.fixture(scope="module")
def trips(spark: SparkSession) -> DataFrame:
    """Departures all day, arrivals two to three hours later, prices that only look like times, some NULL arrivals."""
    rng = np.random.default_rng(1)
    out = rng.integers(0, 1440, ROWS)
    back = (out + rng.integers(120, 180, ROWS)) % 1440
    data = pd.DataFrame({"out": out // 60 * 100 + out % 60, "back": back // 60 * 100 + back % 60})
    data["price"] = [100 * (i % 24) + 5 * (i % 12) for i in range(ROWS)]
    data.loc[3, "price"] = 1275
    frame = spark.createDataFrame(data).selectExpr("cast(out as int) out", "cast(back as int) back", "price")
    return frame.selectExpr("out", "if(out % 50 = 0, null, back) as back", "price")


def test_only_columns_of_times_alone_are_clocks(trips: DataFrame) -> None:
    profiles = numeric_profiles(trips, {c: quoted(c).cast("double") for c in trips.columns})
    assert may_be_clock(profiles["out"]) and may_be_clock(profiles["back"])
    found = find_clocks(trips, ["out", "back", "price"], {}, set())
    assert {c: k.base for c, k in found.items()} == {"out": None, "back": "out"}
    assert found["back"].profile.grid[0] >= 120 and found["back"].profile.grid[-1] < 180


def test_a_time_is_not_counted_from_what_it_makes(trips: DataFrame) -> None:
    assert find_clocks(trips, ["back"], {"out": ("back",)}, set())["back"].base is None
    assert find_clocks(trips, ["back"], {"out": ("hour",)}, set())["back"].base == "out"
    assert find_clocks(trips, ["out", "back"], {}, {"back"})["back"].base is None


def test_the_rule_gives_the_time_back(trips: DataFrame) -> None:
    clock = find_clocks(trips, ["out", "back"], {}, set())["back"]
    rule = clock_rule("back", clock, "__since_back")
    coded = trips.withColumn("__since_back", minutes_after(quoted("back"), quoted("out")))
    assert coded.where(f"NOT (CAST({rule['sql']} AS INT) <=> back)").isEmpty()
