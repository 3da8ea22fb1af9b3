"""A whole run whose MLflow server is killed when training begins and comes back when all is done."""

from __future__ import annotations

from pathlib import Path

import pytest
from deltalake import DeltaTable
from mlflow import MlflowClient
from pyspark.sql import SparkSession

from spark_synth import pipeline
from spark_synth.progress import Progress
from tests.pipeline.market import EPOCHS, KEYS, QUICK, Market, write_market
from tests.servers import mlflow_server

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(1800)]


def test_a_run_survives_its_server(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "real").mkdir()
    write_market(tmp_path / "real")
    stage = Progress.stage
    with mlflow_server(f"sqlite:///{tmp_path}/mlflow.db", tmp_path) as server:
        config = Market(tmp_path).config("away", tracking__uri=server.uri, **QUICK)

        def killing(self: Progress, name: str) -> None:
            if name.startswith("train "):
                server.kill()
            stage(self, name)

        monkeypatch.setattr(Progress, "stage", killing)
        folder = pipeline.run(config)
        monkeypatch.undo()
        assert "does not answer" in capsys.readouterr().err
        assert (folder / "report" / "index.html").exists()
        assert all(DeltaTable(folder / "tables" / t).to_pandas()[k].notna().all().all() for t, k in KEYS.items())

        spool = tmp_path / "out" / "_spool"
        assert list(spool.glob("*.jsonl"))
        server.start()
        pipeline.evaluate(config)
        check_told(MlflowClient(server.uri))
    assert not list(spool.glob("*.jsonl"))


def check_told(client: MlflowClient) -> None:
    """The store has the run as if its server had never been away."""
    (experiment,) = [e for e in client.search_experiments() if e.name != "Default"]
    runs = client.search_runs([experiment.experiment_id])
    assert {r.info.status for r in runs} == {"FINISHED"}
    stages = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    assert sorted(r.data.tags["stage"] for r in stages) == ["evaluate", "evaluate", "generate", "train"]
    (training,) = [r for r in stages if r.data.tags["stage"] == "train"]
    assert all(r.data.tags["train_run_id"] == training.info.run_id for r in stages if r is not training)
    tables = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == training.info.run_id]
    assert {r.data.tags["table"] for r in tables} == (set(KEYS) - {"countries"}) | {"items (links)"}
    losses = {r.data.tags["table"]: len(client.get_metric_history(r.info.run_id, "holdout_loss")) for r in tables}
    learnt = {"customers", "orders", "items", "items (links)"}  # the others have too few rows for an epoch
    assert losses == {t: EPOCHS if t in learnt else 0 for t in losses}
    (model,) = client.search_registered_models()
    assert client.get_model_version(model.name, "1").run_id == training.info.run_id
