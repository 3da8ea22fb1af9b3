"""Orphans that are kept: as many rows as drawn, keys that no row has, shared as the real ones are."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_synth.encoding.bloom import build_blooms
from spark_synth.encoding.codecs import NumericCodec
from spark_synth.encoding.depth import depths
from spark_synth.encoding.edge_plan import LinkPlan, OwnerPlan
from spark_synth.encoding.join_plan import CodePlan
from spark_synth.encoding.keys import KeyPlan
from spark_synth.encoding.linked import or_nothing
from spark_synth.encoding.orphan_plan import OrphanPlan
from spark_synth.encoding.plan import DegreePlan, TablePlan
from spark_synth.generation.levels import link_levels
from spark_synth.generation.links import fill_links, link_rows
from spark_synth.generation.orphans import orphan_targets, reserved
from spark_synth.generation.run import Generation

PARENTS, ROWS, CLUSTERS = 40, 300, 3
ORPHANS = OrphanPlan(6, 30, [(2, 3), (8, 3)])


def link(name: str, parent: str = "p", levels: int = 0, orphans: OrphanPlan = ORPHANS) -> LinkPlan:
    made = LinkPlan(name, (name,), parent, ("id",), False, True, clusters=CLUSTERS, levels=levels, orphans=orphans)
    made.late = True
    return made


@pytest.fixture(scope="module")
def run(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Generation:
    """p has integer keys; x extends it; c links to p and to itself, and belongs to x. Real orphans are 81 to 99."""
    folder = tmp_path_factory.mktemp("orphans")
    degrees = [DegreePlan("c", n, NumericCodec(False), [(0, 20), (13, 20)], 260, False) for n in ("a", "b")]
    code = CodePlan(CLUSTERS, [[0.0]] * CLUSTERS, at=0)
    alone = OrphanPlan(5, 5, [(1, 5)])
    above = OwnerPlan("id", ("id",), "p", ("id",), 0, 64, orphans=alone)
    owner = OwnerPlan("x", ("x",), "x", ("id",), 0, 64, orphans=ORPHANS)
    selves = DegreePlan("c", "boss", NumericCodec(False), [(0, 200), (3, 100)], 300, False)
    columns = {"id": "int", "x": "int", "a": "int", "b": "int", "boss": "int"}
    links = [link("a"), link("b", orphans=alone), link("boss", "c")]
    start = KeyPlan("id", "integer", start=41)
    plans = {
        "p": TablePlan("p", {"id": "int"}, PARENTS, keys=[start], degrees=degrees, code=code),
        "x": TablePlan("x", {"id": "int"}, 20, owner=above),
        "c": TablePlan("c", columns, ROWS, owner=owner, links=links, degrees=[selves], code=code),
    }
    plans["c"].keys = [KeyPlan("id", "integer", start=1000)]
    words = build_blooms(spark.range(81, 100), {"id": 19})["id"]
    for table in plans:
        at = Path(folder / table)
        at.mkdir()
        filters = ["x", "a", "b", "boss"] if table == "c" else ["id"] if table == "x" else []
        (at / "filters.json").write_text(json.dumps(filters))
        for i in range(len(filters)):
            np.save(at / f"filter_{i}.npy", words)
    cluster = "array(cast(id % 3 as smallint)) as __context"
    some = [f"cast(13 * (id % 2) as bigint) as __deg_{i}" for i in (0, 1)]
    p = spark.range(PARENTS).selectExpr("cast(id + 41 as int) as id", "id as __idx", *some, cluster)
    p.write.parquet(f"{folder}/rows/p")
    late = [f"cast(if(id % 5 = 0, {CLUSTERS + 1}, id % 4) as smallint) as __late_{i}" for i in (0, 1, 2)]
    c = spark.range(ROWS).selectExpr(
        "cast(id + 1000 as int) as id",
        *[f"cast(null as int) as {n}" for n in columns if n != "id"],
        "id as __idx",
        "cast(if(id % 3 = 0, 3, 0) as bigint) as __deg_0",
        "cast(case when id % 5 = 0 then 2 when id % 4 = 0 then 0 else 1 end as smallint) as __level_2",
        *late,
        cluster,
    )
    c.write.parquet(f"{folder}/rows/c")
    return Generation(spark, plans, str(folder), f"{folder}/rows", {}, 1.0, 5, 512, None)


def test_targets_are_new_and_have_the_real_sizes(run: Generation) -> None:
    edges = [run.plans["x"].owner, run.plans["c"].owner, *run.plans["c"].links[:2]]
    found = [orphan_targets(run, t, e, e.orphans.rows).collect() for t, e in zip("xccc", edges, strict=True)]  # type: ignore[union-attr, arg-type]
    keys = [int(r["__p0"]) for rows in found for r in rows]
    assert len(set(keys)) == len(keys) == 22, "no foreign key shares its made-up keys with another"
    assert min(keys) > 80 and not set(keys) & set(range(81, 100))
    assert reserved(run, "p") == 2 * 22 and reserved(run, "c") == 2 * 6
    assert [sorted(r["size"] for r in rows) for rows in found[:2]] == [[1] * 5, [2, 2, 2, 8, 8, 8]]
    ends = sorted((r["first"], r["first"] + r["size"]) for r in found[1])
    assert ends[0][0] == 0 and ends[-1][1] == 30 and all(a[1] == b[0] for a, b in zip(ends, ends[1:], strict=False))


def test_rows_whose_code_says_so_are_orphans(run: Generation) -> None:
    rows = [r.asDict() for r in fill_links(run, "c").collect()]
    inside = set(range(41, 81))
    for name, of in (("a", 6), ("b", 10)):
        lost = Counter(r[name] for r in rows if r[name] is not None and r[name] not in inside)
        assert {r["id"] - 1000 for r in rows if r[name] in lost} == set(range(0, ROWS, 5))
        assert len(lost) == of and not set(lost) & set(range(81, 100))
        assert all(r[name] is None for r in rows if r["id"] % 20 in (4, 8, 12, 16))
    boss = {r["id"]: r["boss"] for r in rows}
    assert all((boss[i] is not None and boss[i] >= 1000 + ROWS) == (i % 5 == 0) for i in boss)
    assert all(boss[i] is None or boss[i] < i for i in boss if i % 5)


def test_degrees_are_those_of_the_other_rows(run: Generation) -> None:
    plan = run.plans["c"]
    found = link_rows(run, plan, run.rows("c"), plan.links[0], F.lit(CLUSTERS), {}).collect()
    assert len(found) == ROWS and {r["__p0"] for r in found}.isdisjoint(range(41, 81)), "all may be orphans"
    assert sorted(r["__slot"] for r in found) == list(range(ROWS))


@pytest.mark.slow
def test_orphans_stand_on_the_first_level(run: Generation, spark: SparkSession) -> None:
    leveled = link("boss", "c", levels=2)
    cell = F.lit(CLUSTERS)  # contradicts the level of most
    found = link_levels(run, run.rows("c"), run.plans["c"], leveled, cell, "__level_2").collect()
    boss = {r["id"]: r["__p0"] for r in found}
    top = {i for i in boss if i % 5 == 0 or i % 4 == 0}
    assert all((boss[i] or 0) >= 1000 + ROWS for i in boss if i % 5 == 0)
    assert all(boss[i] is None for i in top if i % 5) and all(boss[i] in top for i in boss if i not in top)
    rows = spark.createDataFrame([(1, None), (2, 1), (3, 9), (4, 3), (5, 5)], "id int, boss int")
    known = depths(rows, leveled, lambda df, _: df)
    assert known is not None and known[1] == 2
    assert sorted(r["__depth"] for r in known[0].collect()) == [0, 0, 1, 1, 2]


def test_the_code_of_an_orphan_is_the_last(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(None, None), (7, None), (7, [2, 5])], "a int, shown array<smallint>")
    made = link("a")
    made.carried = (0,)
    found = [r[0] for r in rows.select(or_nothing(made, F.col("shown"), [F.col("a")])).collect()]
    assert found == [[0, -1], [CLUSTERS + 1, -1], [2, 5]] and made.codes == CLUSTERS + 2


def test_plans_are_read_as_they_were_written() -> None:
    plan = TablePlan("c", {"a": "int"}, 3, owner=OwnerPlan("a", ("a",), "p", ("id",), 0, 64, orphans=ORPHANS))
    plan.links = [link("b")]
    read = TablePlan.from_json(json.loads(json.dumps(plan.to_json())))
    assert read.owner and read.owner.orphans and read.owner.orphans.keys == 6
    assert read.links[0].orphans and json.dumps(plan.to_json()) == json.dumps(read.to_json())
