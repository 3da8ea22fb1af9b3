"""Rows and stubs inside clusters: exact degrees, content kept where supply allows, nothing left over or done twice."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from spark_synth.generation.matching import Cells, match

CLUSTERS, TARGETS, ROWS = 6, 60, 1200


def graph(spark: SparkSession, rows: int = ROWS) -> tuple[DataFrame, DataFrame, dict[int, int]]:
    """Rows in families of ten that want clusters 0 to 4 (every 20th nothing), targets whose degrees add up to them."""
    wanting = spark.range(rows).selectExpr(
        "id as __idx", "if(id % 20 = 19, null, cast(pmod(hash(id), 5) as int)) as __cell", "cast(id div 10 as int) as f"
    )
    count = wanting.where("__cell is not null").count()
    sizes = np.full(TARGETS, count // TARGETS)
    sizes[: count - int(sizes.sum())] += 1
    sizes[1], sizes[7] = sizes[1] + sizes[7], 0  # a larger one, and one that nothing links to
    made = [(i, i % CLUSTERS, int(n), f"T{i}") for i, n in enumerate(sizes)]
    targets = spark.createDataFrame(made, "__idx bigint, __cell int, size bigint, __p0 string")
    return wanting, targets, {i: int(n) for i, n in enumerate(sizes)}


def collected(found: DataFrame) -> list[tuple[int, int | None, str | None, int | None]]:
    return sorted((r["__idx"], r["__cell"], r["__p0"], r["__slot"]) for r in found.collect())


@pytest.fixture(scope="module")
def made(spark: SparkSession) -> list[tuple[int, int | None, str | None, int | None]]:
    wanting, targets, _ = graph(spark)
    return collected(match(wanting, targets, CLUSTERS, 3, ["__p0"]))


def test_every_row_gets_what_it_wants_once(
    spark: SparkSession, made: list[tuple[int, int | None, str | None, int | None]]
) -> None:
    assert [r[0] for r in made] == list(range(ROWS))
    assert all((r[2] is None) == (r[1] is None) == (r[0] % 20 == 19) for r in made)
    wanted = [r[3] for r in made if r[3] is not None]
    assert sorted(wanted) == list(range(len(wanted)))


def test_degrees_are_exact(spark: SparkSession, made: list[tuple[int, int | None, str | None, int | None]]) -> None:
    sizes = graph(spark)[2]
    found = Counter(r[2] for r in made if r[2])
    assert found == {f"T{i}": n for i, n in sizes.items() if n}


def test_as_many_as_can_stay_inside_their_cluster(
    spark: SparkSession, made: list[tuple[int, int | None, str | None, int | None]]
) -> None:
    sizes = graph(spark)[2]
    demand, supply = Counter(r[1] for r in made if r[1] is not None), Counter[int]()
    for i, n in sizes.items():
        supply[i % CLUSTERS] += n
    inside = Counter(r[1] for r in made if r[2] and int(r[2][1:]) % CLUSTERS == r[1])
    assert inside == Counter({c: min(demand[c], supply[c]) for c in demand})


def test_siblings_get_different_targets(made: list[tuple[int, int | None, str | None, int | None]]) -> None:
    families = defaultdict(list)
    for idx, _, target, _ in made:
        if target:
            families[idx // 10].append(target)
    repeated = sum(len(f) - len(set(f)) for f in families.values())
    assert repeated < 0.02 * ROWS


def test_partitions_tasks_and_pieces_change_nothing(
    spark: SparkSession,
    made: list[tuple[int, int | None, str | None, int | None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("spark_synth.generation.degrees.TASK_ROWS", 100)
    monkeypatch.setattr("spark_synth.generation.degrees.SUM_BLOCK", 64)
    monkeypatch.setattr("spark_synth.generation.matching.PIECE", 3)
    wanting, targets, _ = graph(spark)
    assert collected(match(wanting.repartition(7, "f"), targets, CLUSTERS, 3, ["__p0"])) == made


def test_rows_that_go_elsewhere_lie_together_where_siblings_may_have_the_same_target(spark: SparkSession) -> None:
    """One cluster asks for 200 rows more than it has stubs, the other has them."""
    wanting = spark.range(ROWS).selectExpr("id as __idx", "cast(id % 2 as int) as __cell", "id div 10 as f")
    targets = spark.createDataFrame(
        [(0, 0, 400, "A"), (1, 1, 800, "B")], "__idx bigint, __cell int, size bigint, __p0 string"
    )
    torn = {}
    for once in (True, False):
        found = match(wanting, targets, 2, 3, ["__p0"], once).where("__cell = 0").select("f", "__p0").collect()
        assert Counter(r["__p0"] for r in found) == {"A": 400, "B": 200}
        targets_of = defaultdict(set)
        for r in found:
            targets_of[r["f"]].add(r["__p0"])
        torn[once] = sum(len(t) > 1 for t in targets_of.values())
    assert torn[True] > 100 and torn[False] < 30  # of 120 families with 5 such rows each


def test_slots_are_shared_out() -> None:
    cells = Cells(np.array([5, 0, 9]), np.array([3, 4, 7]))
    assert cells.inside.tolist() == [3, 0, 7] and cells.begin.tolist() == [0, 3, 3]
    assert cells.left(cells.rows).tolist() == [10, 12, 12]  # two rows of cluster 0, two of cluster 2
    assert cells.left(cells.stubs).tolist() == [10, 10, 14]  # four stubs of cluster 1
