"""Runs, metrics and artifacts against a real local MLflow store."""

from __future__ import annotations

import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow import MlflowClient

from spark_synth.config import TrackingSettings
from spark_synth.errors import UserError
from spark_synth.tracking import DatasetInput, RunHandle, Tracker


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out put")


@pytest.fixture(scope="module")
def tracker(store: Path) -> Tracker:
    return Tracker(TrackingSettings(uri=f"sqlite:///{store}/mlflow.db", experiment="spark-synth/test"))


@pytest.fixture(scope="module")
def client(tracker: Tracker, store: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{store}/mlflow.db")


def test_store_lies_beside_the_output(tracker: Tracker, store: Path) -> None:
    with tracker.run("train") as run:
        run.log_text("hello", "notes/hello.txt")
    assert (store / "mlflow.db").is_file()
    assert [p.read_text() for p in (store / "mlartifacts").rglob("hello.txt")] == ["hello"]
    assert not logging.getLogger("alembic").isEnabledFor(logging.INFO)


def test_params_metrics_and_tags_come_back(tracker: Tracker, client: MlflowClient) -> None:
    with tracker.run("train", {"stage": "train"}) as run:
        run.log_params({"seed": 7, "model": {"hidden": 64, "odd[name]": None}, "long": "x" * 10_000})
        run.log_metrics({"rows": 12.0}, step=3)
        run.log_metrics_history([("loss", 1.0 / (step + 1), step) for step in range(2_500)])
        run.set_tags({"state": "ok"})
        delta = DatasetInput("teams", "/data/teams", "version 3", 4, "evaluation", "delta_table", 3)
        run.log_inputs([DatasetInput("players", "/data/players.csv", "abc123", rows=10), delta])
    found = client.get_run(run.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params["seed"] == "7" and found.data.params["model.hidden"] == "64"
    assert found.data.params["model.odd_name_"] == "None"
    assert 5_000 < len(found.data.params["long"]) < 10_000 and found.data.params["long"].endswith("...")
    assert len(client.get_metric_history(run.run_id, "loss")) == 2_500
    assert tracker.tags(run.run_id)["state"] == "ok"
    assert found.inputs is not None
    inputs = {i.dataset.name: i.dataset for i in found.inputs.dataset_inputs}
    assert inputs["players"].source == "/data/players.csv" and inputs["players"].profile == '{"num_rows": 10}'
    assert json.loads(inputs["teams"].source) == {"path": "/data/teams", "delta_table_version": 3}
    assert tracker.find({"stage": "train"}) == run.run_id


def test_nested_runs_from_several_threads(tracker: Tracker, client: MlflowClient) -> None:
    def fit(parent: RunHandle, table: str) -> str:
        with tracker.nested(parent, f"table:{table}") as run:
            run.log_metrics_history([("loss", float(len(table)), step) for step in range(20)])
        return run.run_id

    with tracker.run("train") as parent, ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(lambda table: fit(parent, table), ["a", "bb", "ccc", "dddd"]))
    assert {tracker.tags(i)["mlflow.parentRunId"] for i in ids} == {parent.run_id}
    losses = [client.get_run(i).data.metrics["loss"] for i in ids]
    assert losses == [1.0, 2.0, 3.0, 4.0]


def test_a_failing_block_leaves_a_failed_run(tracker: Tracker, client: MlflowClient) -> None:
    with pytest.raises(ValueError, match="boom"), tracker.run("train", {"kind": "failing"}) as run:
        raise ValueError("boom")
    assert client.get_run(run.run_id).info.status == "FAILED"
    assert tracker.find({"kind": "failing"}) is None


def test_artifacts_go_up_and_come_down(tracker: Tracker, tmp_path: Path) -> None:
    (tmp_path / "models" / "deep").mkdir(parents=True)
    (tmp_path / "models" / "deep" / "weights.bin").write_bytes(b"\x00\x01")
    with tracker.run("train") as run:
        run.log_artifacts(tmp_path / "models", "models")
    folder = tracker.download(run.run_id, "models", tmp_path / "copy")
    assert (folder / "deep" / "weights.bin").read_bytes() == b"\x00\x01"
    with pytest.raises(UserError, match="no artifact 'report'"):
        tracker.download(run.run_id, "report", tmp_path / "copy")


def test_an_unknown_run_is_named(tracker: Tracker) -> None:
    with pytest.raises(UserError, match="'0123' is not in this store"):
        tracker.resume("0123")


def test_an_experiment_is_opened_again(tracker: Tracker, store: Path) -> None:
    again = Tracker(TrackingSettings(uri=f"sqlite:///{store}/mlflow.db"), "spark-synth/test")
    assert again.experiment_id == tracker.experiment_id


def test_a_store_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        Tracker(TrackingSettings(uri=f"sqlite:///{tmp_path}/file/mlflow.db"), "spark-synth/test")


def test_the_load_of_the_machine_is_logged(
    tracker: Tracker, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "1")
    with tracker.run("train", system=True) as run:
        time.sleep(1.5)
    history = client.get_metric_history(run.run_id, "system/cpu_utilization_percentage")
    assert [m.step for m in history] == [0, 1]
