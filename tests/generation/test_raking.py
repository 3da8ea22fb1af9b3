"""Rows are of every cluster as often as real ones, whatever the network draws."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from safetensors.torch import save_file

from spark_synth.encoding.codecs import CategoricalCodec
from spark_synth.encoding.edge_plan import LinkPlan
from spark_synth.encoding.join_plan import CodePlan
from spark_synth.encoding.plan import STRUCTURE, How, TablePlan, ValuePlan
from spark_synth.generation.block import block_maker, output_fields, structure_fields, structure_maker
from spark_synth.generation.codes import BlockJob
from spark_synth.generation.families import Families, families_of
from spark_synth.generation.raking import raked
from spark_synth.generation.run import Generation
from spark_synth.models.autoregressive import Autoregressive
from spark_synth.models.spec import GeneratorSpec

REAL = [500.0, 300.0, 150.0, 50.0]  # rows of each cluster
LEANING = [-0.7, 0.2, 0.9, -1.5]  # what the network adds to the logits of clusters
ROWS = 400_000


@pytest.fixture(scope="module")
def run(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Generation:
    """A root table that others link to: its code and one column."""
    folder = tmp_path_factory.mktemp("raking")
    plan = TablePlan("t", {"kind": "string"}, ROWS, code=CodePlan(len(REAL), [[0.0]] * len(REAL)))
    plan.values = [ValuePlan("kind", How.CATEGORY, [CategoricalCodec(False, ["a", "b"], [1.0, 1.0])])]
    plan.number({})
    save_model(folder / "t", plan, GeneratorSpec(cards=plan.cards, frequencies=[REAL, [1.0, 1.0]], hidden=8, head=4))
    return Generation(spark, {"t": plan}, str(folder), f"{folder}/rows", {}, 1.0, 5, 512, None)


def save_model(folder: Path, plan: TablePlan, spec: GeneratorSpec, part: str = "") -> None:
    """A network whose first sub-column leans, and what goes with it."""
    torch.manual_seed(0)
    model = Autoregressive(spec)
    with torch.no_grad():
        model.outer_bias[0][0, 0, : len(LEANING)] += torch.tensor(LEANING)
    (folder / part).mkdir(parents=True)
    (folder / "filters.json").write_text("[]")
    (folder / "plan.json").write_text(json.dumps(plan.to_json()))
    (folder / "spec.json").write_text(json.dumps(spec.to_json()))
    (folder / part / "spec.json").write_text(json.dumps(spec.to_json()))
    save_file(model.state_dict(), folder / part / "weights.safetensors")


def drawn_shares(run: Generation, families: Families, job: BlockJob) -> np.ndarray:
    rows = run.per_block(families.cut, families.blocks, block_maker(job), output_fields(run.plans["t"], True))
    counts = rows.groupBy(F.col("__context").getItem(0).alias("code")).count().collect()
    out = np.zeros(len(REAL))
    for row in counts:
        out[row["code"]] = row["count"]
    shares: np.ndarray = out / out.sum()
    return shares


def test_rows_are_of_every_cluster_as_often_as_real_ones(run: Generation) -> None:
    plan, real = run.plans["t"], np.array(REAL) / sum(REAL)
    families = families_of(run, plan)
    assert families.blocks > 60  # so that tilts come from some of them
    job = BlockJob(run.models, "t", run.seed, families.count, families.keys, True)
    tilt = raked(run, plan, families, job)
    few = Families(families.cut.where("block % 7 = 3"), 0, 0, 10)
    loose, tight = (drawn_shares(run, few, BlockJob(**{**vars(job), "tilt": t})) for t in ({}, tilt))
    assert np.abs(loose - real).sum() / 2 > 0.2
    assert np.abs(tight - real).sum() / 2 < 0.03


def structure_shares(run: Generation, plan: TablePlan, frequencies: list[list[float]]) -> list[np.ndarray]:
    """Of a root table whose network leans: shares of the codes of its first sub-column, as drawn and as raked."""
    spec = GeneratorSpec(cards=plan.cards, frequencies=frequencies, hidden=8, head=4)
    save_model(Path(run.models) / plan.table, plan, spec, STRUCTURE)
    run = replace(run, plans={plan.table: plan})
    families = families_of(run, plan)
    job = BlockJob(run.models, plan.table, run.seed, families.count, families.keys, False)
    shares = []
    for tilt in ({}, raked(run, plan, families, job)):
        maker = structure_maker(replace(job, tilt=tilt))
        rows = run.per_block(families.cut, families.blocks, maker, structure_fields(plan))
        codes = np.array([r["code"] for r in rows.select(F.col("__codes").getItem(0).alias("code")).collect()])
        assert len(codes) == plan.rows
        shares.append(np.bincount(codes, minlength=plan.cards[0]) / len(codes))
    return shares


def test_as_many_rows_have_no_target_as_real_ones(run: Generation) -> None:
    """Of 1,500 rows 600 have none; the others are too few for 100 clusters to be told apart."""
    plan = TablePlan("few", {"t": "bigint"}, 1500, links=[LinkPlan("few.t", ("t",), "t", ("id",), False, True)])
    plan.links[0].clusters, plan.links[0].at, plan.cards = 100, 0, [101]
    loose, tight = structure_shares(run, plan, [[600.0, *[9.0] * 100]])
    assert [loose[0], tight[0]] == [pytest.approx(0.2, abs=0.05), pytest.approx(0.4, abs=0.004)]


def test_as_many_rows_have_no_link_that_is_filled_last_as_real_ones(run: Generation) -> None:
    link = LinkPlan("late.t", ("t",), "t", ("id",), False, True, late=True, clusters=3, at=0)
    plan = TablePlan("late", {"t": "bigint"}, 1500, links=[link])
    plan.cards = [4]
    loose, tight = structure_shares(run, plan, [[600.0, 450.0, 300.0, 150.0]])
    assert [loose[0], tight[0]] == [pytest.approx(0.2, abs=0.05), pytest.approx(0.4, abs=0.004)]


def test_rows_of_a_self_reference_are_as_deep_as_real_ones(run: Generation) -> None:
    link = LinkPlan("staff.boss", ("boss",), "staff", ("id",), False, True, late=True, clusters=2, levels=4)
    plan = TablePlan("staff", {"id": "bigint", "boss": "bigint"}, 1500, links=[link])
    link.level_at, link.at, plan.cards = 0, 1, [4, 3]
    loose, tight = structure_shares(run, plan, [[600.0, 450.0, 300.0, 150.0], [600.0, 450.0, 450.0]])
    real = np.array([0.4, 0.3, 0.2, 0.1])
    assert np.abs(loose - real).sum() > 0.3 and np.abs(tight - real).max() < 0.004
