"""How many children each parent has, and which rows they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_synth.encoding.codecs import NumericCodec
from spark_synth.encoding.join_plan import CodePlan
from spark_synth.encoding.plan import DegreePlan, TablePlan
from spark_synth.generation.degrees import SUM_BLOCK, as_in_clusters, exact_degrees, ownerless, segments

PARENTS = 2 * SUM_BLOCK + 500
HISTOGRAM = [(0, 3200), (1, 2500), (2, 2000), (5, 900), (40, 90), (300, 2)]
TOTAL = sum(d * n for d, n in HISTOGRAM)


def test_degrees_of_small_tables_are_those_of_their_clusters(spark: SparkSession) -> None:
    known, free = plan([(0, 1), (1, 1)]), plan([(0, 1), (1, 1)])
    known.by_code = [[0, 1], [20, 20, 21, 25], []]
    table = TablePlan("t", {}, 14, code=CodePlan(3, [[0.0]] * 3, at=1), degrees=[known, free])
    context = [[9, c] for c in [0] * 4 + [1] * 8 + [2] * 2]
    rows = pd.DataFrame({"__idx": range(14), "__context": context, "__deg_0": 3, "__deg_1": 7})
    rows["__deg_0"] = [9, 2, 3, 8, 30, 8, 7, 6, 5, 4, 3, 2, 5, 6]
    made = as_in_clusters(spark.createDataFrame(rows), table).toPandas()
    assert sorted(made.columns) == sorted(rows.columns)
    made = made.sort_values("__idx", ignore_index=True)
    assert made["__deg_0"].tolist() == [1, 0, 0, 1, 25, 25, 21, 21, 20, 20, 20, 20, 5, 6]
    assert (made["__deg_1"] == 7).all()


def plan(histogram: list[tuple[int, int]]) -> DegreePlan:
    total = sum(d * n for d, n in histogram)
    unique = max(d for d, _ in histogram) <= 1
    return DegreePlan("child", "child.parent", NumericCodec(False), histogram, total, unique)


@pytest.fixture(scope="module")
def parents(spark: SparkSession) -> DataFrame:
    """Parents whose drawn degree is too small, but of the right order: 0 to 7."""
    drawn = F.pmod(F.xxhash64("id"), F.lit(8))
    return spark.range(PARENTS, numPartitions=3).select(F.col("id").alias("__idx"), drawn.alias("drawn")).cache()


def sized(parents: DataFrame, degree: DegreePlan, total: int, real: bool = False) -> pd.DataFrame:
    rows, told = exact_degrees(parents, F.col("drawn"), degree, total, real)
    found = rows.toPandas().sort_values("__idx", ignore_index=True)
    assert told == found["size"].sum()
    assert found["__idx"].tolist() == list(range(PARENTS))
    assert (found["first"] == found["size"].cumsum() - found["size"]).all()  # key ranges without gap or overlap
    return found


def ks(sizes: pd.Series, histogram: list[tuple[int, int]]) -> float:
    """Largest distance between the two cumulative distributions."""
    at = np.arange(max(d for d, _ in histogram) + 2)
    real = np.array([sum(n for d, n in histogram if d <= k) for k in at]) / sum(n for _, n in histogram)
    return float(np.abs(np.array([(sizes <= k).mean() for k in at]) - real).max())


@pytest.fixture(params=[True, False], ids=["small", "large"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Degrees as in a small table and, with the same rows, as in a large one."""
    if not request.param:
        monkeypatch.setattr("spark_synth.generation.degrees.RANKED_ROWS", 0)


def test_as_many_rows_have_exactly_the_real_degrees(parents: DataFrame, size: None) -> None:
    found = sized(parents, plan(HISTOGRAM), TOTAL)
    assert found["size"].value_counts().sort_index().to_dict() == dict(HISTOGRAM)
    by_drawn = found.groupby("drawn")["size"].mean()
    assert by_drawn.is_monotonic_increasing  # ranks are kept: who was drawn more gets more
    assert not found["size"][found["drawn"] <= 1].any()  # 2/8 of the parents; 37 % of the real ones have none


def test_partitions_do_not_matter(parents: DataFrame, size: None) -> None:
    one, other = (sized(p, plan(HISTOGRAM), TOTAL) for p in (parents, parents.repartition(7, "drawn")))
    pd.testing.assert_frame_equal(one, other)


def test_other_numbers_of_rows_have_the_real_distribution(parents: DataFrame, size: None) -> None:
    some = parents.where("__idx < 5001")
    found = exact_degrees(some, F.col("drawn"), plan(HISTOGRAM), TOTAL, False, slack=1.0)[0].toPandas()
    assert ks(found["size"], HISTOGRAM) < 0.001
    untied = found["size"][found["drawn"] == 7].to_numpy()  # of one drawn degree, real ones of several kinds
    assert abs(np.corrcoef(np.arange(len(untied)), untied)[0, 1]) < 0.1


def test_any_total_is_met(parents: DataFrame) -> None:
    half = sized(parents, plan(HISTOGRAM), TOTAL // 2)
    assert half["size"].sum() == TOTAL // 2


def test_at_most_one_child_stays_at_most_one(parents: DataFrame) -> None:
    histogram = [(0, 700), (1, 300)]
    found = sized(parents, plan(histogram), 10**6)
    assert found["size"].max() == 1
    assert found["size"].mean() == pytest.approx(0.3, abs=0.005)


def test_real_degrees_are_only_scaled(parents: DataFrame) -> None:
    total = parents.agg(F.sum("drawn")).head()[0]  # type: ignore[index]
    same = sized(parents, plan(HISTOGRAM), total, real=True)
    assert (same["size"] == same["drawn"]).all()
    triple = sized(parents, plan(HISTOGRAM), 3 * total, real=True)
    assert triple["size"].sum() == 3 * total
    assert (triple["size"] - 3 * triple["drawn"]).abs().max() <= 1
    assert not triple["size"][triple["drawn"] == 0].any()


def test_segments_cover_every_row_once(spark: SparkSession) -> None:
    sizes = [0, 1, 512, 513, 100_000, 0, 7, 1024]
    first = np.cumsum(sizes) - np.array(sizes)
    families = spark.createDataFrame(
        [(i, s, int(f)) for i, (s, f) in enumerate(zip(sizes, first, strict=True))], "__idx long, size long, first long"
    )
    cut = segments(families, 512, 4096).toPandas().sort_values("row", ignore_index=True)
    assert (cut["row"] == cut["rows"].cumsum() - cut["rows"]).all() and cut["rows"].sum() == sum(sizes)
    assert cut["rows"].between(1, 512).all()
    assert (cut["block"] == cut["row"] // 4096).all()
    for i, size in enumerate(sizes):
        family = cut[cut["__idx"] == i]
        assert len(family) == -(-size // 512)
        assert (family["size"] == size).all() and (family["segments"] == len(family)).all()
        assert family["segment"].tolist() == list(range(len(family)))
        assert (family["start"] == family["row"] - first[i]).all()


@pytest.mark.parametrize(("rows", "family"), [(130, 64), (64, 64), (1, 64), (1000, 7)])
def test_rows_without_an_owner_are_covered_too(spark: SparkSession, rows: int, family: int) -> None:
    cut = ownerless(spark, rows, family, 5000, 512).toPandas().sort_values("row", ignore_index=True)
    assert (cut["row"] == 5000 + cut["rows"].cumsum() - cut["rows"]).all() and cut["rows"].sum() == rows
    assert (cut["rows"] == cut["size"]).all() and cut["rows"].between(1, family).all()
    assert (cut["block"] == cut["row"] // 512).all() and (cut["__idx"] == -1).all()
