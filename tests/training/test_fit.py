"""One table's training: what it writes, and that a stopped one ends as if it had not been stopped."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pyspark.sql import SparkSession
from safetensors.torch import load_file

from spark_synth.models.autoregressive import Autoregressive
from spark_synth.models.spec import GeneratorSpec
from spark_synth.training import loop, step
from spark_synth.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from spark_synth.training.fit import fit_table
from spark_synth.training.job import FitJob
from spark_synth.training.place import train_tables
from tests.training.made import SPEC, made_job, made_packs


@pytest.fixture(scope="module")
def packs(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of the table that is trained."""
    return made_packs(spark, str(tmp_path_factory.mktemp("packs")))


@pytest.fixture
def job(packs: str, tmp_path: Path) -> FitJob:
    """Its training."""
    return made_job(packs, tmp_path)


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


@pytest.mark.parametrize("step", [7, 10])
def test_a_stopped_training_ends_as_if_undisturbed(job: FitJob, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Stopped within an epoch, and at the end of one."""
    whole = fit_table(job)
    assert job.steps == 5
    stopped = elsewhere(job, "stopped", checkpoint_seconds=0.0)
    stop_after(step, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        fit_table(stopped)
    monkeypatch.undo()
    for left in (".checkpoint-9.json.tmp", "checkpoint-9.safetensors"):
        (Path(stopped.scratch) / left).write_text("half of a")
    result = fit_table(stopped)
    assert [e["epoch"] for e in result.history] == [1, 2, 3, 4]
    for loss in ("train_loss", "holdout_loss"):
        assert [e[loss] for e in result.history] == [e[loss] for e in whole.history]
    assert same(weights(stopped), weights(job))
    assert sorted(p.name for p in Path(stopped.scratch).iterdir()) == [
        *(f"checkpoint-{n}.{kind}" for n in (19, 20) for kind in ("json", "safetensors")),
        "progress.jsonl",
    ]


def stop_after(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings are killed once they have saved their checkpoint of that step."""

    def save_and_stop(folder: Path, model: Any, optimizer: Any, found: Checkpoint) -> None:  # noqa: ANN401
        save_checkpoint(folder, model, optimizer, found)
        if found.step == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "save_checkpoint", save_and_stop)


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


@pytest.mark.parametrize("damage", ["tensors", "state", "gone", "changed"])
@pytest.mark.parametrize("both", [False, True])
def test_a_damaged_checkpoint_is_passed_over(
    job: FitJob, monkeypatch: pytest.MonkeyPatch, damage: str, both: bool
) -> None:
    """Training goes on from the one before, or begins anew where that is damaged too, and says so."""
    fit_table(job)
    damaged = elsewhere(job, "damaged", checkpoint_seconds=0.0)
    scratch = Path(damaged.scratch)
    stop_after(8, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        fit_table(damaged)
    monkeypatch.undo()
    for n in [7, 8] if both else [8]:
        spoil(scratch / f"checkpoint-{n}.safetensors", damage)
    result = fit_table(damaged)
    assert [e["epoch"] for e in result.history] == [1, 2, 3, 4]
    assert same(weights(damaged), weights(job))
    lines = [json.loads(x) for x in (scratch / "progress.jsonl").read_text().splitlines()]
    notes = [x["note"] for x in lines if "note" in x]
    assert [x.split(" cannot be read")[0] for x in notes] == [
        f"t: the checkpoint after step {n}" for n in ([8, 7] if both else [8])
    ]


def spoil(tensors: Path, damage: str) -> None:
    """Damage a checkpoint."""
    if damage == "tensors":
        tensors.write_bytes(tensors.read_bytes()[: tensors.stat().st_size // 2])
    elif damage == "changed":
        tensors.write_bytes(tensors.read_bytes()[:-4] + b"oops")
    elif damage == "state":
        tensors.with_suffix(".json").write_text('{"step": 1, "di')
    else:
        tensors.unlink()


def test_checkpoints_restore_model_and_optimizer(tmp_path: Path) -> None:
    def made(seed: int) -> tuple[Autoregressive, torch.optim.Optimizer]:
        torch.manual_seed(seed)
        model = Autoregressive(SPEC)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        sum(p.square().sum() for p in model.parameters()).backward()  # type: ignore[union-attr]
        return model, optimizer

    model, optimizer = made(1)
    told: list[str] = []
    assert load_checkpoint(tmp_path, model, optimizer, told.append) is None
    optimizer.step()
    best = {k: v + 1 for k, v in model.state_dict().items()}
    for n in (9, 10, 11):
        save_checkpoint(tmp_path, model, optimizer, Checkpoint(n, best, torch.get_rng_state(), {"rows": n}))
    assert sorted(p.stem for p in tmp_path.glob("*.safetensors")) == ["checkpoint-10", "checkpoint-11"]
    other, fresh = made(2)
    found = load_checkpoint(tmp_path, other, fresh, told.append)
    assert found is not None and (found.step, found.state) == (11, {"rows": 11}) and same(found.best, best)
    assert not told
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
