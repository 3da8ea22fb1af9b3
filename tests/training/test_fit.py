"""One table's training: what it writes, and that a stopped one ends as if it had not been stopped."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from pyspark.sql import SparkSession
from safetensors.torch import load_file

from spark_synth.encoding.encode import write_packs
from spark_synth.models.autoregressive import Autoregressive
from spark_synth.models.spec import GeneratorSpec
from spark_synth.training import fit, step
from spark_synth.training.checkpoint import load_checkpoint, save_checkpoint
from spark_synth.training.fit import FitJob, fit_table
from spark_synth.training.place import train_tables

FAMILIES = 300
SPEC = GeneratorSpec(
    cards=[4, 5], context_cards=[3], recurrent=True, frequencies=[[1.0] * 4, [1.0] * 5], hidden=8, head=4
)


@pytest.fixture(scope="module")
def packs(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> str:
    """300 families of 2 rows; codes follow the context."""
    df = spark.createDataFrame(pd.DataFrame({"f": range(FAMILIES)})).selectExpr(
        "hash(f) as bucket",
        "f % 5 = 0 as __holdout",
        "transform(array(f % 3, f % 4, f % 3 + 1, f % 2), x -> cast(x as smallint)) as codes",
        "array(cast(f % 3 as smallint)) as context",
        "2 as length",
        "0 as start",
        "2 as size",
        "cast(array() as array<smallint>) as sets",
    )
    path = str(tmp_path_factory.mktemp("packs"))
    write_packs(df, FAMILIES * 2, path)
    return path


@pytest.fixture
def job(packs: str, tmp_path: Path) -> FitJob:
    return FitJob(
        table="t",
        columns=2,
        packs=packs,
        folder=str(tmp_path / "model"),
        scratch=str(tmp_path / "scratch"),
        spec=SPEC.to_json(),
        train_rows=480,
        holdout_rows=120,
        epochs=4,
        batch_rows=100,
        seconds=600,
        threads=1,
        learning_rate=0.02,
        patience=10,
        seed=3,
    )


def weights(job: FitJob) -> dict[str, torch.Tensor]:
    return load_file(Path(job.folder) / "weights.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return set(a) == set(b) and all(torch.equal(a[k], b[k]) for k in a)


def elsewhere(job: FitJob, name: str, **changes: Any) -> FitJob:  # noqa: ANN401
    """The same job with other folders."""
    folder = Path(job.folder).parent / name
    return replace(job, folder=str(folder / "model"), scratch=str(folder / "scratch"), **changes)


def test_training_learns_and_says_how(job: FitJob) -> None:
    result = fit_table(job)
    losses = [e["holdout_loss"] for e in result.history]
    assert (result.epochs, result.ended, len(losses)) == (4, "all epochs", 4)
    assert result.best_loss == min(losses) < math.log(4) + math.log(5) - 0.3
    lines = [json.loads(x) for x in (Path(job.scratch) / "progress.jsonl").read_text().splitlines()]
    assert [x["epoch"] for x in lines] == [1, 2, 3, 4]
    spec = GeneratorSpec.from_json(json.loads((Path(job.folder) / "spec.json").read_text()))
    assert replace(spec, features=[], context_features=[], pairs={}) == SPEC and spec.features[0][0]
    assert result.tables == sum(map(len, spec.pairs.values())) > 0 and result.tied_loss < result.best_loss
    assert fit_table(job) == result  # a finished table is left as it is


def test_a_stopped_training_ends_as_if_undisturbed(job: FitJob, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fit_table(job)
    stopped = elsewhere(job, "stopped")

    def save_and_stop(*args: Any) -> None:  # noqa: ANN401
        save_checkpoint(*args)
        if args[-1]["epoch"] == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(fit, "save_checkpoint", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        fit_table(stopped)
    monkeypatch.undo()
    result = fit_table(stopped)
    assert [e["epoch"] for e in result.history] == [1, 2, 3, 4]
    assert [e["holdout_loss"] for e in result.history] == [e["holdout_loss"] for e in whole.history]
    assert same(weights(stopped), weights(job))


def test_another_seed_gives_other_weights(job: FitJob) -> None:
    other = elsewhere(job, "other", seed=4, epochs=1)
    fit_table(replace(job, epochs=1))
    fit_table(other)
    assert not same(weights(other), weights(job))


@pytest.mark.parametrize("changes", [{"epochs": 0}, {"holdout_rows": 0}])
def test_without_enough_rows_the_frequencies_are_the_model(job: FitJob, changes: dict[str, int]) -> None:
    result = fit_table(replace(job, **changes))  # type: ignore[arg-type]
    assert (result.epochs, result.ended) == (0, "too few rows: frequencies")
    torch.manual_seed(job.seed)
    assert same(weights(job), dict(Autoregressive(SPEC).state_dict()))


def test_patience_and_the_clock_end_a_training(job: FitJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "DECAY_EPOCHS", 1e12)  # decay alone would bring the weights nearer to the frequencies
    stuck = fit_table(elsewhere(job, "stuck", epochs=600, patience=1, learning_rate=1e-12))
    assert stuck.ended == "no better on held-out families" and stuck.epochs < 600
    late = fit_table(elsewhere(job, "late", seconds=0.0))
    assert late.ended.startswith("stopped by the clock") and late.epochs == 1


@pytest.mark.parametrize("damage", ["tensors", "state", "gone"])
def test_a_damaged_checkpoint_means_a_new_start(job: FitJob, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    whole = elsewhere(job, "whole", epochs=2)
    fit_table(whole)
    damaged = elsewhere(job, damage, epochs=2)
    scratch = Path(damaged.scratch)
    scratch.mkdir(parents=True)
    for file in Path(whole.scratch).glob("checkpoint*"):
        (scratch / file.name).write_bytes(file.read_bytes())
    (tensors,) = scratch.glob("*.safetensors")
    if damage == "tensors":
        tensors.write_bytes(tensors.read_bytes()[: tensors.stat().st_size // 2])
    elif damage == "state":
        (scratch / "checkpoint.json").write_text('{"epoch": 1, "fi')
    else:
        tensors.unlink()
    assert len(fit_table(damaged).history) == 2
    assert same(weights(damaged), weights(whole))


def test_checkpoints_restore_model_and_optimizer(tmp_path: Path) -> None:
    def made(seed: int) -> tuple[Autoregressive, torch.optim.Optimizer]:
        torch.manual_seed(seed)
        model = Autoregressive(SPEC)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        sum(p.square().sum() for p in model.parameters()).backward()  # type: ignore[union-attr]
        return model, optimizer

    model, optimizer = made(1)
    assert load_checkpoint(tmp_path, model, optimizer) is None
    optimizer.step()
    best = {k: v + 1 for k, v in model.state_dict().items()}
    for epoch in (1, 2):
        save_checkpoint(tmp_path, model, optimizer, best, {"epoch": epoch})
    assert [p.name for p in tmp_path.glob("*.safetensors")] == ["checkpoint-2.safetensors"]
    other, fresh = made(2)
    found = load_checkpoint(tmp_path, other, fresh)
    assert found is not None and found[1]["epoch"] == 2 and same(found[0], best)
    assert same(dict(other.state_dict()), dict(model.state_dict()))
    for one, two in ((model, optimizer), (other, fresh)):
        two.zero_grad()
        sum(p.square().sum() for p in one.parameters()).backward()  # type: ignore[union-attr]
        two.step()
    assert same(dict(other.state_dict()), dict(model.state_dict()))


def test_tables_train_in_spark_tasks_and_are_heard(spark: SparkSession, job: FitJob) -> None:
    jobs = [replace(elsewhere(job, n), table=n, epochs=e) for n, e in (("one", 2), ("two", 1), ("none", 0))]
    heard: list[tuple[str, int]] = []
    results = train_tables(spark, jobs, lambda t, e: heard.append((t, e["epoch"])))
    assert {t: r.epochs for t, r in results.items()} == {"one": 2, "two": 1, "none": 0}
    assert sorted(heard) == [("one", 1), ("one", 2), ("two", 1)]
    fit_table(elsewhere(job, "here", epochs=2))
    assert same(weights(jobs[0]), weights(elsewhere(job, "here")))
