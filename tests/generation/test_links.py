"""Links beyond the owner: valid keys, the degrees of the targets, NULL where the row says so."""

from __future__ import annotations

from collections import Counter

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_synth.encoding.codecs import NumericCodec
from spark_synth.encoding.edge_plan import LinkPlan, OwnerPlan
from spark_synth.encoding.join_plan import CodePlan
from spark_synth.encoding.plan import DegreePlan, TablePlan
from spark_synth.generation.links import fill_links, link_rows
from spark_synth.generation.run import Generation
from spark_synth.generation.within import with_partners

TARGETS, ROWS, CLUSTERS = 40, 600, 4
HISTOGRAM = [(0, 10), (5, 20), (20, 10)]


def link(name: str, column: str, parent: str, nullable: bool) -> LinkPlan:
    return LinkPlan(name, (column,), parent, ("id",), False, nullable, late=True, clusters=CLUSTERS)


@pytest.fixture(scope="module")
def run(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Generation:
    """Rows that point at targets (always), at targets again (two thirds of them), at each other (most), and at some of
    them once at most."""
    work = str(tmp_path_factory.mktemp("rows"))
    degrees = [
        DegreePlan("rows", name, NumericCodec(False), HISTOGRAM, sum(d * n for d, n in HISTOGRAM), False)
        for name in ("must", "may")
    ]
    degrees.append(DegreePlan("rows", "once", NumericCodec(False), [(0, 20), (1, 20)], 20, True))
    links = [
        link("must", "a", "targets", False),
        link("may", "odd name", "targets", True),
        link("self", "boss", "rows", True),
    ]
    code = CodePlan(CLUSTERS, [[0.0]] * CLUSTERS, at=0)
    plans = {
        "targets": TablePlan("targets", {"id": "string"}, TARGETS, degrees=degrees, code=code),
        "rows": TablePlan("rows", {"id": "int", "a": "string", "odd name": "string", "boss": "int"}, ROWS, links=links),
    }
    targets = spark.range(TARGETS).selectExpr(
        "concat('T', id) as id",
        "id as __idx",
        "pmod(hash(id), 4) as __deg_0",
        "pmod(hash(id, 1), 4) as __deg_1",
        "pmod(hash(id, 2), 2) as __deg_2",
        "array(cast(id % 4 as smallint)) as __context",
    )
    targets.write.parquet(f"{work}/targets")
    rows = spark.range(ROWS).select(
        (F.col("id") + 1000).cast("int").alias("id"),
        F.lit(None).cast("string").alias("a"),
        F.lit(None).cast("string").alias("odd name"),
        F.lit(None).cast("int").alias("boss"),
        F.col("id").alias("__idx"),
        F.expr("cast(id % 4 as smallint) as __late_0"),
        F.expr("cast(if(id % 3 > 0, id % 4 + 1, 0) as smallint) as __late_1"),
        F.expr("cast(if(id % 10 > 0, 1, 0) as smallint) as __late_2"),
    )
    rows.write.parquet(f"{work}/rows")
    return Generation(spark, plans, "", work, {}, 1.0, 5, 512, None)


@pytest.fixture(scope="module")
def filled(run: Generation) -> list[tuple[int, str, str | None, int | None]]:
    found = fill_links(run, "rows")
    assert found.columns == ["id", "a", "odd name", "boss"]
    return sorted(tuple(r) for r in found.collect())


def test_rows_stay_and_keys_are_valid(filled: list[tuple[int, str, str | None, int | None]]) -> None:
    assert [r[0] for r in filled] == list(range(1000, 1000 + ROWS))
    keys = {f"T{i}" for i in range(TARGETS)}
    assert {r[1] for r in filled} <= keys
    assert {r[2] for r in filled} - {None} <= keys


def test_nulls_are_where_the_rows_say_so(filled: list[tuple[int, str, str | None, int | None]]) -> None:
    assert all((r[2] is None) == ((r[0] - 1000) % 3 == 0) for r in filled)
    assert all(r[1] is not None for r in filled)


def test_targets_get_their_degrees(filled: list[tuple[int, str, str | None, int | None]]) -> None:
    for column, count in ((1, ROWS), (2, ROWS * 2 // 3)):
        found = Counter(r[column] for r in filled if r[column] is not None)
        assert sum(found.values()) == count
        scale = count / sum(d * n for d, n in HISTOGRAM)
        sizes = sorted(found.values())
        assert len(sizes) == pytest.approx(30, abs=3)  # a quarter of the targets has none
        assert sizes[-1] == pytest.approx(20 * scale, abs=1) and sizes[0] == pytest.approx(5 * scale, abs=1)


def test_a_self_reference_has_no_cycle(filled: list[tuple[int, str, str | None, int | None]]) -> None:
    boss = {r[0]: r[3] for r in filled}
    assert all(b is None or (b in boss and b < i) for i, b in boss.items())
    assert sum(b is None for b in boss.values()) == ROWS // 10  # row 0 has none anyway


@pytest.mark.parametrize(
    "count", [pytest.param(7, marks=pytest.mark.slow), 20, pytest.param(33, marks=pytest.mark.slow)]
)
def test_a_target_that_one_row_may_have_stays_so(run: Generation, count: int) -> None:
    rows = run.spark.range(count).selectExpr("id as __idx")
    once = LinkPlan("once", ("x",), "targets", ("id",), False, False, clusters=CLUSTERS)
    found = Counter(r["__p0"] for r in link_rows(run, run.plans["rows"], rows, once, F.lit(2), {}).collect())
    assert len(found) == count and set(found.values()) == {1} and None not in found


def test_a_target_is_bound_by_other_links_alone(run: Generation) -> None:
    """Products of a tenant, each once in an order: a product may be in more orders than its tenant has products."""
    owner = OwnerPlan("o", ("g", "order"), "targets", ("g", "id"), 0, 0)
    product, size = (
        LinkPlan(c, ("g", c), "targets", ("g", "id"), False, False, within=(("g", "id"),)) for c in ("product", "size")
    )
    unique = [["g", "order", "product"], ["g", "order", "size"]]
    rows = run.spark.createDataFrame([("T1",), ("none",)], "p string")
    for links, bounds in ([product], None), ([product, size], {"T1": 1, "none": 0}):
        plan = TablePlan("lines", {}, ROWS, owner=owner, links=links, unique=unique)
        found, most = with_partners(run, plan, rows, {"g": "p"}, product)
        assert (most is None) == (bounds is None)
        assert bounds is None or {r["p"]: r["__most"] for r in found.collect()} == bounds
