"""Foreign keys beyond the owner: valid keys, the degrees of the targets, NULL where the row says so."""

from __future__ import annotations

from collections import Counter

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_synth.encoding.codecs import NumericCodec
from spark_synth.encoding.plan import DegreePlan, LinkPlan, TablePlan
from spark_synth.generation.links import fill_links
from spark_synth.generation.tables import Generation

TARGETS, ROWS = 40, 600
HISTOGRAM = [(0, 10), (5, 20), (20, 10)]


def link(name: str, column: str, parent: str, nullable: bool) -> LinkPlan:
    return LinkPlan(name, (column,), parent, ("id",), False, nullable)


@pytest.fixture(scope="module")
def run(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Generation:
    """Rows that point at targets (always), at targets again (two thirds of them), and at each other (most)."""
    work = str(tmp_path_factory.mktemp("rows"))
    degrees = [
        DegreePlan("rows", name, NumericCodec(False), HISTOGRAM, sum(d * n for d, n in HISTOGRAM), False)
        for name in ("must", "may")
    ]
    links = [
        link("must", "a", "targets", False),
        link("may", "odd name", "targets", True),
        link("self", "boss", "rows", True),
    ]
    plans = {
        "targets": TablePlan("targets", {"id": "string"}, TARGETS, degrees=degrees),
        "rows": TablePlan("rows", {"id": "int", "a": "string", "odd name": "string", "boss": "int"}, ROWS, links=links),
    }
    targets = spark.range(TARGETS).selectExpr(
        "concat('T', id) as id", "id as __idx", "pmod(hash(id), 4) as __deg_0", "pmod(hash(id, 1), 4) as __deg_1"
    )
    targets.write.parquet(f"{work}/targets")
    rows = spark.range(ROWS).select(
        (F.col("id") + 1000).cast("int").alias("id"),
        F.lit(None).cast("string").alias("a"),
        F.lit(None).cast("string").alias("odd name"),
        F.lit(None).cast("int").alias("boss"),
        F.col("id").alias("__idx"),
        F.when(F.col("id") % 3 > 0, "1.0").alias("__has_may"),
        F.when(F.col("id") % 10 > 0, "1.0").alias("__has_self"),
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


def test_neighbours_do_not_share_a_target(filled: list[tuple[int, str, str | None, int | None]]) -> None:
    targets = [r[1] for r in filled]
    same = sum(a == b for a, b in zip(targets, targets[1:], strict=False))
    assert same < ROWS / 10


def test_a_self_reference_has_no_cycle(filled: list[tuple[int, str, str | None, int | None]]) -> None:
    boss = {r[0]: r[3] for r in filled}
    assert all(b is None or (b in boss and b < i) for i, b in boss.items())
    assert sum(b is None for b in boss.values()) == ROWS // 10  # row 0 has none anyway


def test_many_tasks_and_pieces_of_hubs_give_the_same_links(
    run: Generation, filled: list[tuple[int, str, str | None, int | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spark_synth.generation.degrees.TASK_ROWS", 100)
    monkeypatch.setattr("spark_synth.generation.links.PIECE", 3)
    assert sorted(tuple(r) for r in fill_links(run, "rows").collect()) == sorted(filled)
