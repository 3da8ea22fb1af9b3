"""Degrees inside groups: as many stubs as rows, and the degrees there are stay what they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from scipy.stats import ks_2samp

from spark_synth.generation.group_degrees import group_degrees

GROUPS, EACH, CELLS = 40, 8, 3
DRAWN = "__idx bigint, __cell int, size bigint, __most bigint, g string"


def drawn(rng: np.random.Generator, barren: bool) -> pd.DataFrame:
    """Targets of groups; those of the last have no stubs, some others may have none."""
    count = GROUPS * EACH
    size = rng.geometric(0.3, count) * (rng.random(count) < (0.25 if barren else 1.0))
    made = pd.DataFrame({"__idx": range(count), "__cell": rng.integers(0, CELLS, count), "size": size})
    made["__most"] = np.where(rng.random(count) < 0.1, 0, 1 << 62)
    made["size"] = made["size"].where((made["__most"] > 0) & (made.index < count - EACH), 0)
    return made.assign(g=[f"g{i // EACH}" for i in range(count)])


def asked(rng: np.random.Generator, targets: pd.DataFrame) -> pd.DataFrame:
    """Rows of every group but the last, a third to three times as many as there are stubs in it, in all as many."""
    share = np.exp(rng.uniform(-1.1, 1.1, GROUPS - 1))
    span = rng.multinomial(int(targets["size"].sum()), share / share.sum())
    groups = pd.DataFrame({"g": [f"g{i}" for i in range(GROUPS - 1)], "__group": range(GROUPS - 1), "__span": span})
    return groups[groups["__span"] > 0]


@pytest.mark.parametrize("barren", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_degrees_are_the_same_in_other_groups(spark: SparkSession, tmp_path: Path, barren: bool) -> None:
    rng = np.random.default_rng(0)
    targets = drawn(rng, barren)
    groups = asked(rng, targets)
    given = spark.createDataFrame(targets, DRAWN), spark.createDataFrame(groups)
    rows = int(groups["__span"].sum())
    found = group_degrees(*given, ["g"], rows, False, 1, str(tmp_path)).toPandas()
    assert found.groupby("g")["size"].sum().to_dict() == groups.set_index("g")["__span"].to_dict()
    assert (found.loc[found["__most"] == 0, "size"] == 0).all()
    nobody = [0] * EACH
    assert ks_2samp([*found["size"], *nobody], targets["size"]).statistic <= (
        0.02 if barren else 0.07
    )  # scaled: 0.03, 0.09


def test_a_group_without_a_stub_has_degrees_like_others(spark: SparkSession, tmp_path: Path) -> None:
    """Twelve rows ask for five targets without a stub, where others have four each."""
    targets = spark.range(20).select(
        F.col("id").alias("__idx"),
        F.lit(0).alias("__cell"),
        F.when(F.col("id") < 5, 0).when(F.col("id") < 12, 4).otherwise(0).cast("bigint").alias("size"),
        F.when(F.col("id") < 5, "a").otherwise("b").alias("g"),
    )
    groups = spark.createDataFrame([("a", 0, 12), ("b", 1, 16)], "g string, __group bigint, __span bigint")
    found = group_degrees(targets, groups, ["g"], 28, False, 1, str(tmp_path)).toPandas()
    assert sorted(found.loc[found["g"] == "a", "size"]) == [0, 0, 4, 4, 4]
    assert sorted(found.loc[found["g"] == "b", "size"])[-4:] == [4, 4, 4, 4]
