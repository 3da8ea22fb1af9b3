"""A hierarchical GAN's training: all tables of a tree in one task, stopped anywhere, with the same result."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from pyspark.sql import SparkSession
from safetensors.torch import load_file

from spark_synth.encoding.encode import write_packs
from spark_synth.feed import read_packs
from spark_synth.models.families import read_model
from spark_synth.models.spec import GanSpec, GeneratorSpec
from spark_synth.training import hierarchy
from spark_synth.training.adversarial import Alternation, Turn
from spark_synth.training.hierarchy import fit_hierarchy
from spark_synth.training.job import FitJob
from spark_synth.training.place import train_tables, trees, with_time_of_tree
from tests.training.made import SPEC, made_job, made_packs

GAN = GanSpec(noise=4, packed=2)
OWNERS = GeneratorSpec(cards=[3], frequencies=[[1.0] * 3], hidden=8, head=4, family="gan", gan=GAN)


@pytest.fixture(scope="module")
def packs(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Of owners, whose one code is that in the context of their families, and of these."""
    owners = spark.createDataFrame(pd.DataFrame({"f": range(300)})).selectExpr(
        "hash(f) as bucket",
        "f % 5 = 0 as __holdout",
        "array(cast(f % 3 as smallint)) as codes",
        "cast(array() as array<smallint>) as context",
        "1 as length",
        "0 as start",
        "1 as size",
        "cast(array() as array<smallint>) as sets",
    )
    path = str(tmp_path_factory.mktemp("owners"))
    write_packs(owners, 300, path)
    return path, made_packs(spark, str(tmp_path_factory.mktemp("families")))


@pytest.fixture
def jobs(packs: tuple[str, str], tmp_path: Path) -> list[FitJob]:
    owners = replace(made_job(packs[0], tmp_path / "owners"), table="owners", columns=1, spec=OWNERS.to_json())
    owners = replace(owners, train_rows=240, holdout_rows=60, batch_rows=50, epochs=3)
    spec = replace(SPEC, family="gan", gan=GAN).to_json()
    rows = replace(made_job(packs[1], tmp_path / "rows"), table="rows", spec=spec, parent="owners", epochs=3)
    return [owners, rows]


def elsewhere(jobs: list[FitJob], name: str) -> list[FitJob]:
    moved = [Path(j.folder).parent.parent / name / j.table for j in jobs]
    return [replace(j, folder=str(m / "model"), scratch=str(m / "scratch")) for j, m in zip(jobs, moved, strict=True)]


def test_a_tree_trains_together_and_tells_of_every_table(jobs: list[FitJob]) -> None:
    owners, rows = fit_hierarchy(jobs)
    assert (owners.epochs, rows.epochs, owners.ended) == (3, 3, "all epochs")
    for job, result in zip(jobs, (owners, rows), strict=True):
        told = [json.loads(x) for x in (Path(job.scratch) / "progress.jsonl").read_text().splitlines()]
        assert [e["holdout_loss"] for e in told if "epoch" in e] == [e["holdout_loss"] for e in result.history]
        assert result.best_loss == result.history[result.best_epoch - 1]["holdout_loss"]
        assert result.best_loss == min(e["holdout_loss"] for e in result.history)
        assert not [k for k in load_file(Path(job.folder) / "weights.safetensors") if not k.startswith("generator.")]
        model = read_model(Path(job.folder))
        one, context = (
            torch.ones(50, dtype=torch.int64),
            torch.zeros(50, len(job.spec["context_cards"]), dtype=torch.int64),
        )
        codes = model.sample(context, 2 * one, 0 * one, 2 * one, torch.Generator().manual_seed(1))
        assert codes.shape == (100, len(job.spec["cards"])) and codes.min() >= 0
    assert [r.history for r in fit_hierarchy(jobs)] == [owners.history, rows.history]  # finished: left as they are


def test_a_tree_has_the_time_of_its_largest_table(jobs: list[FitJob]) -> None:
    """Owners may be few, and have next to no time of their own."""
    owners, rows = fit_hierarchy(elsewhere([replace(jobs[0], seconds=0.0), jobs[1]], "short"))
    assert (owners.epochs, rows.epochs, owners.ended) == (3, 3, "all epochs")
    slow = elsewhere([replace(j, seconds=0.0) for j in jobs], "shortest")
    assert all(r.epochs == 1 and r.ended.startswith("stopped by the clock") for r in fit_hierarchy(slow))


def test_a_stopped_tree_ends_with_the_weights_of_one_that_was_not(
    jobs: list[FitJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    fit_hierarchy(jobs)
    stopped = elsewhere([replace(j, checkpoint_seconds=0) for j in jobs], "stopped")
    turn = Alternation.turn

    def fails(self: Alternation, batches: dict[str, object]) -> Turn:
        if self.turns == 7:  # in mid-epoch: an epoch has five turns
            raise KeyboardInterrupt
        return turn(self, batches)  # type: ignore[arg-type]

    monkeypatch.setattr(Alternation, "turn", fails)
    with pytest.raises(KeyboardInterrupt):
        fit_hierarchy(stopped)
    monkeypatch.setattr(Alternation, "turn", turn)
    fit_hierarchy(stopped)
    for one, other in zip(jobs, stopped, strict=True):
        a, b = (load_file(Path(j.folder) / "weights.safetensors") for j in (one, other))
        assert all(torch.equal(a[k], b[k]) for k in a)


def test_of_few_held_out_rows_the_best_epoch_is_that_of_all(
    jobs: list[FitJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hierarchy, "JUDGES", 100)  # owners have 60, their rows 120
    owners, rows = fit_hierarchy(jobs)
    held = {j.table: sum(b.rows for b in read_packs(f"{j.packs}/split=holdout", j.shape, 10_000)) for j in jobs}
    both = zip(owners.history, rows.history, strict=True)
    means = [a["holdout_loss"] * held["owners"] + b["holdout_loss"] * held["rows"] for a, b in both]
    assert owners.best_epoch == means.index(min(means)) + 1
    assert rows.best_loss == min(e["holdout_loss"] for e in rows.history)


def test_trees_are_tasks_and_owners_come_first(spark: SparkSession, jobs: list[FitJob]) -> None:
    assert [[j.table for j in t] for t in trees([jobs[1], jobs[0]])] == [["owners", "rows"]]
    alone = replace(jobs[0], table="alone", seconds=50.0)
    timed = with_time_of_tree([replace(jobs[1], seconds=90.0), replace(jobs[0], seconds=60.0), alone], 100.0)
    assert {t.table: t.seconds for t in timed} == {"rows": 100.0, "owners": 100.0, "alone": 50.0}
    heard: list[str] = []
    results = train_tables(spark, [jobs[1], jobs[0]], lambda t, e: heard.append(t) if "epoch" in e else None)
    assert set(results) == {"owners", "rows"} == set(heard)


def test_owners_with_too_few_rows_are_frequencies(jobs: list[FitJob]) -> None:
    owners, rows = fit_hierarchy([replace(jobs[0], epochs=0), jobs[1]])
    assert (owners.ended, owners.epochs, rows.epochs) == ("too few rows: frequencies", 0, 3)


def test_mode_collapse_is_told_when_it_comes_and_when_it_goes(
    jobs: list[FitJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter([[0], [], [0, 1], [], [0, 1], [], [], []])  # of owners and rows, four epochs
    monkeypatch.setattr("spark_synth.training.hierarchy.collapsed_columns", lambda *_: next(found))
    fit_hierarchy([replace(j, epochs=4) for j in jobs])
    lines = [(Path(j.scratch) / "progress.jsonl").read_text().splitlines() for j in jobs]
    told = [[json.loads(x) for x in of if "lacking" in x] for of in lines]
    assert told == [[{"lacking": [0, 1], "epoch": 2}, {"lacking": [], "epoch": 4}], []]  # the first epoch is too early
