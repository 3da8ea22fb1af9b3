"""Self references by level: depths as drawn, no circle, degrees shared out, the cluster of the row above respected."""

from __future__ import annotations

from collections import Counter

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_synth.encoding.codecs import NumericCodec
from spark_synth.encoding.depth import depths
from spark_synth.encoding.edge_plan import LinkPlan
from spark_synth.encoding.join_plan import CodePlan
from spark_synth.encoding.plan import DegreePlan, TablePlan
from spark_synth.generation.levels import link_levels
from spark_synth.generation.run import Generation

ROWS, CLUSTERS = 300, 3
HISTOGRAM = [(0, 200), (1, 40), (2, 30), (8, 30)]


def plan(levels: int) -> TablePlan:
    link = LinkPlan("t.boss", ("boss",), "t", ("id",), False, True, late=True, clusters=CLUSTERS, levels=levels)
    degree = DegreePlan("t", "t.boss", NumericCodec(False), HISTOGRAM, 340, False)
    code = CodePlan(CLUSTERS, [[0.0]] * CLUSTERS, at=0)
    return TablePlan("t", {"id": "bigint", "boss": "bigint"}, ROWS, links=[link], degrees=[degree], code=code)


def linked(spark: SparkSession, level: str, levels: int) -> dict[int, int | None]:
    made = plan(levels)
    rows = spark.range(ROWS).selectExpr(
        "id as __idx",
        "id + 1000 as id",
        f"cast({level} as smallint) as __level_0",
        "cast(pmod(hash(id), 4) as bigint) as __deg_0",
        "array(cast(id % 3 as smallint)) as __context",
    )
    run = Generation(spark, {"t": made}, "", "", {}, 1.0, 5, 512, None)
    found = link_levels(run, rows, made, made.links[0], F.lit(1), "__level_0")
    return {r["id"]: r["__p0"] for r in found.collect()}


@pytest.mark.parametrize(
    ("level", "levels"),
    [("if(id < 20, 0, if(id % 3 = 0, 2, 1))", 3), pytest.param("if(id % 5 = 0, 1, 3)", 4, marks=pytest.mark.slow)],
)
def test_every_row_lies_where_it_was_drawn(spark: SparkSession, level: str, levels: int) -> None:
    boss = linked(spark, level, levels)
    assert len(boss) == ROWS

    def depth(row: int, seen: int = 0) -> int:
        assert seen <= ROWS, "a circle"
        above = boss[row]
        return 0 if above is None else 1 + depth(above, seen + 1)

    found = Counter(depth(i) for i in boss)
    # Where no row is of the first level, the first becomes one; rows below an empty level move up to it.
    assert found == (Counter({0: 20, 1: 187, 2: 93}) if levels == 3 else Counter({0: 1, 1: 59, 2: 240}))


def test_the_cluster_of_the_row_above_is_as_asked(spark: SparkSession) -> None:
    boss = linked(spark, "if(id < 150, 0, 1)", 2)
    asked = [b for b in boss.values() if b is not None]
    assert len(asked) == 150
    supply = Counter((b - 1000) % CLUSTERS for b in asked)
    assert supply[1] >= 0.3 * len(asked)  # all that cluster 1 offers, the rest from its neighbours
    degrees = Counter(asked)
    assert max(degrees.values()) >= 4 and len(degrees) < 100  # as uneven as the real ones


def test_depths_of_real_rows_are_found(spark: SparkSession) -> None:
    link = plan(0).links[0]
    rows = spark.range(40).selectExpr("id", "if(id < 4, null, if(id = 4, 4, id div 4)) as boss")
    found = depths(rows, link, lambda df, _: df)
    assert found is not None
    by_node, levels = found
    assert levels == 3
    assert Counter(r["__depth"] for r in by_node.collect()) == Counter({0: 5, 1: 15, 2: 20})
    circle = spark.range(6).selectExpr("id", "(id + 1) % 6 as boss")
    assert depths(circle, link, lambda df, _: df) is None
