"""Rows and stubs inside groups: nobody leaves its group, all stubs are used, clusters kept as far as they go."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_synth.generation.separate import redirected
from spark_synth.generation.within import match_within

GROUPS, ROWS, CLUSTERS = 30, 3000, 4


def rows_of(spark: SparkSession) -> DataFrame:
    """Rows of groups g0, g1, .. of very different sizes; some want nothing, some are of no group, some of one without
    a target."""
    return spark.range(ROWS).selectExpr(
        "id as __idx",
        f"cast(if(id % 50 = 0, null, pmod(hash(id), {CLUSTERS})) as int) as __cell",
        f"case when id % 70 = 1 then null else concat('g', cast(pow(rand(5), 2) * {GROUPS + 1} as int)) end as g",
    )


def targets_of(spark: SparkSession) -> DataFrame:
    """Eight targets a group, of two per cluster, with 0 to 4 stubs; those of g3 have none."""
    return spark.range(GROUPS * 8).selectExpr(
        "id as __idx",
        f"cast(id % {CLUSTERS} as int) as __cell",
        "cast(if(id div 8 = 3, 0, pmod(hash(id, 1), 5)) as bigint) as size",
        "concat('T', id) as __p0",
        "concat('g', id div 8) as g",
    )


def linked(spark: SparkSession, folder: Path, parts: int = 3, alone: bool = False) -> pd.DataFrame:
    rows, targets = rows_of(spark).localCheckpoint(), targets_of(spark)
    made = match_within(rows.repartition(parts), targets, [("g", "g")], 3, ["__p0"], alone, str(folder))
    return made.toPandas().sort_values("__idx", ignore_index=True)


@pytest.fixture(scope="module")
def made(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return linked(spark, tmp_path_factory.mktemp("within"))


def test_every_row_is_linked_inside_its_group(made: pd.DataFrame) -> None:
    assert list(made["__idx"]) == list(range(ROWS))
    asking = made["__cell"].notna() & made["g"].notna() & (made["g"] != f"g{GROUPS}")
    assert (made["__p0"].notna() == asking).all() and (made["g"] == f"g{GROUPS}").any()
    found = made[asking]
    assert (found["__p0"].str[1:].astype(int) // 8 == found["g"].str[1:].astype(int)).all()


def test_slots_of_a_group_lie_next_to_each_other(made: pd.DataFrame) -> None:
    placed = made.dropna(subset=["__slot"])
    assert sorted(placed["__slot"].astype(int)) == list(range(len(placed)))
    inside = (placed["__slot"] >= placed["__low"]) & (placed["__slot"] < placed["__low"] + placed["__span"])
    assert inside.all() and placed.groupby("g")["__span"].agg(lambda s: s.nunique() == 1 and s.iloc[0] == len(s)).all()


def test_as_many_as_can_get_the_cluster_they_want(spark: SparkSession, made: pd.DataFrame) -> None:
    cell = {r["__p0"]: r["__cell"] for r in targets_of(spark).collect()}
    met: dict[str, list[Counter[int]]] = defaultdict(lambda: [Counter(), Counter(), Counter()])
    for r in made.dropna(subset=["__p0"]).to_dict("records"):
        wanted, given = int(r["__cell"]), cell[r["__p0"]]
        for counter, key in zip(met[r["g"]], (wanted, given, wanted if wanted == given else -1), strict=True):
            counter[key] += 1
    for asked, offered, same in met.values():
        assert all(same[c] == min(asked[c], offered[c]) for c in range(CLUSTERS))


def test_the_partitions_do_not_matter(spark: SparkSession, made: pd.DataFrame, tmp_path: Path) -> None:
    pd.testing.assert_frame_equal(made, linked(spark, tmp_path, parts=5))


def test_where_one_row_each_is_due_all_targets_share(spark: SparkSession, tmp_path: Path) -> None:
    rows = spark.range(6).select(F.col("id").alias("__idx"), F.lit(0).alias("__cell"), F.lit("a").alias("g"))
    targets = spark.createDataFrame(
        [(i, 0, int(i < 2), f"T{i}", "a") for i in range(8)],
        "__idx bigint, __cell int, size bigint, __p0 string, g string",
    )
    found = match_within(rows, targets, [("g", "g")], 1, ["__p0"], True, str(tmp_path)).toPandas()
    assert found["__p0"].nunique() == 6


def test_repeated_pairs_move_to_free_targets_of_their_group(spark: SparkSession) -> None:
    """Line 1 of order A has shipment 1 three times, of its three; line 2 of order B has its only one twice."""
    rows = spark.createDataFrame(
        [(0, "A", "1", "1"), (1, "A", "1", "1"), (2, "A", "1", "1"), (3, "A", "2", "1"), (4, "B", "2", "1")]
        + [(5, "B", "2", "1"), (6, "B", "2", None)],
        "__idx bigint, o0 string, o1 string, l0 string",
    )
    targets = spark.createDataFrame([("A", 1), ("A", 2), ("A", 3), ("B", 1)], "pid string, no int")
    found = redirected(rows, targets, ["o0", "o1"], {"l0": "no"}, {"o0": "pid"}).orderBy("__idx").collect()
    assert {r["l0"] for r in found[:3]} == {"1", "2", "3"} and found[0]["l0"] == "1"
    assert [r["l0"] for r in found[3:]] == ["1", "1", "1", None]
    assert found[0].asDict().keys() == set(rows.columns)
