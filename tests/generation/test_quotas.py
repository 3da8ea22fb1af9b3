"""Keys of reference tables: their real shares exactly, no pair twice, and codes that tell the same."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_synth.encoding.codecs import CategoricalCodec
from spark_synth.encoding.edge_plan import OwnerPlan
from spark_synth.encoding.plan import How, TablePlan, ValuePlan
from spark_synth.encoding.room import reference_room
from spark_synth.generation.masks import Given, Room, Together
from spark_synth.generation.quotas import quotas, settled
from spark_synth.generation.run import Generation

NAMES, COUNTS = ["a", "b", "c", "d"], [400.0, 300.0, 200.0, 100.0]


@pytest.fixture
def plan() -> TablePlan:
    """t(owner, ref), each pair once; ref is NULL at times, its code is the second of three."""
    made = TablePlan("t", {"owner": "bigint", "ref": "string"}, 1000, cards=[3, 5, 2], unique=[["owner", "ref"]])
    made.owner = OwnerPlan("t.owner", ("owner",), "p", ("id",), 0, 64)
    codec = CategoricalCodec(True, NAMES, COUNTS)
    made.values = [ValuePlan("t.ref", How.REFERENCE, [codec], at=1, keys=("ref",))]
    return made


@pytest.fixture
def drawn(spark: SparkSession) -> DataFrame:
    """1,000 rows of 500 owners: more of "a", fewer of "d" than there should be, the first ten rows without any."""
    key = F.array(*map(F.lit, "aaaabbbbcd")).getItem(F.pmod(F.hash("id"), F.lit(10)))
    ref = F.when(F.col("id") >= 10, key)
    return spark.range(1000).select(
        F.col("id").alias("__idx"),
        F.floor(F.col("id") / 2).cast("string").alias("o0"),
        ref.alias("x0"),
        (F.col("id") - F.col("id") % 2).alias("__segment"),
    )


def run_in(spark: SparkSession, work: Path) -> Generation:
    return Generation(spark, {}, "", str(work), {}, 1.0, 5, 100, None)


def rows_of(df: DataFrame, moved: DataFrame | None = None) -> list[tuple[int, str, str | None]]:
    """(number, owner, key) of the drawn rows, with the keys of `moved` segments as these say."""
    found = {} if moved is None else {r["__segment"]: r["__references"] for r in moved.collect()}
    rows = df.orderBy("__idx").collect()
    old = [(r["__idx"], r["o0"], r["x0"]) for r in rows]
    return [(i, o, ([None, *NAMES][found[i - i % 2][i % 2]] if i - i % 2 in found else ref)) for i, o, ref in old]


def test_quotas_are_whole_and_add_up() -> None:
    assert quotas(COUNTS, 1000).tolist() == [400, 300, 200, 100]
    assert quotas([1.0, 1.0, 1.0], 8).sum() == 8 and set(quotas([1.0, 1.0, 1.0], 8).tolist()) == {2, 3}
    assert quotas([], 0).tolist() == []


def test_keys_get_their_real_shares(spark: SparkSession, plan: TablePlan, drawn: DataFrame, tmp_path: Path) -> None:
    plan.unique = []
    moved = settled(run_in(spark, tmp_path), plan, drawn)
    before, after = rows_of(drawn), rows_of(drawn, moved)
    counts = Counter(ref for _, _, ref in after)
    assert counts == {None: 10, "a": 396, "b": 297, "c": 198, "d": 99}
    had = Counter(ref for _, _, ref in before)
    surplus = sum(max(0, had[k] - counts[k]) for k in NAMES)
    assert sum(b[2] != a[2] for b, a in zip(before, after, strict=True)) == surplus > 0  # no row more than needed
    changed = {b[0] - b[0] % 2 for b, a in zip(before, after, strict=True) if a != b}
    assert {r["__segment"] for r in moved.collect()} == changed  # nor a family drawn again for nothing


def test_siblings_with_the_same_key_get_another_together(spark: SparkSession, plan: TablePlan, tmp_path: Path) -> None:
    """100 families of ten rows, each with one key but for a row in the middle: 60 of "a", 40 of "b"."""
    plan.unique = []
    plan.values[0].codecs = [CategoricalCodec(True, NAMES, [300.0, 400.0, 200.0, 100.0])]
    family, place = F.floor(F.col("id") / 10), F.col("id") % 10
    key = F.when(place == 5, "d").otherwise(F.when(family % 10 < 6, "a").otherwise("b"))
    rows = spark.range(1000).select(F.col("id").alias("__idx"), key.alias("x0"), (family * 10).alias("__segment"))
    moved = {r["__segment"]: r["__references"] for r in settled(run_in(spark, tmp_path), plan, rows).collect()}
    drawn = np.where(np.arange(100) % 10 < 6, 1, 2)[:, None].repeat(10, 1)
    drawn[:, 5] = 4
    made = np.array([moved.get(10 * f, codes) for f, codes in enumerate(drawn.tolist())])
    assert np.bincount(made.ravel()).tolist() == [0, 300, 400, 200, 100]
    one = np.delete(made, 5, 1)
    assert (one.min(1) < one.max(1)).sum() <= 2  # torn: the last that "a" gives away, and the first that "c" gets


def test_rows_without_keys_that_need_to_move_are_left_alone(
    spark: SparkSession, plan: TablePlan, drawn: DataFrame, tmp_path: Path
) -> None:
    plan.unique = []
    exact = drawn.withColumn("x0", F.array(*map(F.lit, "aaaabbbccd")).getItem((F.col("__idx") % 10).cast("int")))
    assert settled(run_in(spark, tmp_path), plan, exact).isEmpty()
    none = drawn.withColumn("x0", F.lit(None).cast("string"))
    assert settled(run_in(spark, tmp_path), plan, none).isEmpty()


@pytest.mark.slow
def test_no_pair_is_there_twice(spark: SparkSession, plan: TablePlan, drawn: DataFrame, tmp_path: Path) -> None:
    pairs = Counter((o, ref) for _, o, ref in rows_of(drawn) if ref)
    assert max(pairs.values()) == 2
    made = rows_of(drawn, settled(run_in(spark, tmp_path), plan, drawn))
    assert max(Counter((o, ref) for _, o, ref in made if ref).values()) == 1
    assert Counter(ref for _, _, ref in made) == {None: 10, "a": 396, "b": 297, "c": 198, "d": 99}


@pytest.mark.slow
def test_partitions_do_not_matter(spark: SparkSession, plan: TablePlan, drawn: DataFrame, tmp_path: Path) -> None:
    one = rows_of(drawn, settled(run_in(spark, tmp_path / "a"), plan, drawn.repartition(1)))
    assert one == rows_of(drawn, settled(run_in(spark, tmp_path / "b"), plan, drawn.repartition(5, "x0")))


def test_a_family_draws_each_key_once(plan: TablePlan) -> None:
    room = reference_room(plan)
    assert room[1] == [1 << 30, 1, 1, 1, 1]
    mask = Together([Room({0: [9, 9, 9]}, np.ones(1, bool)), Room(room, np.ones(1, bool))])
    mask.drawn(np.array([[0, 2, 0]]))
    allowed = mask.allowed(1, 1, 1, np.zeros((1, 3), dtype=np.int64))
    assert allowed is not None and allowed.tolist() == [[True, True, False, True, True]]
    assert mask.allowed(2, 1, 1, np.zeros((1, 3), dtype=np.int64)) is None
    plan.unique = []
    assert reference_room(plan) == {}


def test_given_codes_are_the_only_ones_allowed() -> None:
    mask = Given({1: np.array([2, 0, 1])}, [4, 3], np.array([2, 1]))
    nothing = np.zeros((2, 2), dtype=np.int64)
    first = mask.allowed(1, 2, 0, nothing)
    assert first is not None and first.tolist() == [[False, False, True], [False, True, False]]
    second = mask.allowed(1, 1, 1, nothing[:1])
    assert second is not None and second.tolist() == [[True, False, False]]
    assert mask.allowed(0, 2, 0, nothing) is None
