"""Samples of joined rows: all of a few, a bounded and even choice of many, the same however the pairs are dealt out."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession

from spark_synth.encoding.encode import ABSENT
from spark_synth.encoding.join_plan import SetPlan
from spark_synth.encoding.sets import SLOTS, sampled

PLAN = SetPlan("takes", "takes_item", "users", SLOTS, (0, 3))
HUB, FEW = 20_000, 5


def pairs(spark: SparkSession, partitions: int) -> DataFrame:
    """Key `a` has HUB pairs, `b` has FEW; the members are numbers of three digits, and twice that."""
    df = spark.range(HUB + FEW).repartition(partitions)
    member = "array(cast(id % 1000 as smallint), cast(2 * (id % 1000) as smallint)) as __member"
    return df.selectExpr(f"if(id < {HUB}, 'a', 'b') as __k0", "xxhash64(id) as __order", member)


def found(spark: SparkSession, partitions: int = 3) -> dict[str, list[int]]:
    return {r["__k0"]: list(r["__set"]) for r in sampled(pairs(spark, partitions), ["__k0"], PLAN).collect()}


def test_few_rows_are_all_there(spark: SparkSession) -> None:
    members = found(spark)["b"]
    assert len(members) == PLAN.width
    assert sorted(members[0 : 2 * FEW : 2]) == [(HUB + i) % 1000 for i in range(FEW)]
    assert members[2 * FEW :] == [ABSENT] * (PLAN.width - 2 * FEW)


def test_of_many_an_even_sample_is_taken(spark: SparkSession) -> None:
    members = found(spark)["a"]
    assert len(members) == PLAN.width and min(members) >= 0
    first = members[::2]
    assert members[1::2] == [2 * x for x in first]
    assert min(first) < 250 and max(first) >= 750  # spread over all


def test_the_sample_does_not_depend_on_the_partitions(spark: SparkSession) -> None:
    assert found(spark, 1) == found(spark, 7)
