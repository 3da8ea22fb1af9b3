"""Runs and models on real MLflow servers: one that goes away and comes back, one over PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.models import Model

from spark_synth.config import TrackingSettings
from spark_synth.errors import RunError, UserError
from spark_synth.tracking import ModelSpec, RunHandle, Tracker
from tests.servers import free_port, mlflow_server, postgres

pytestmark = pytest.mark.timeout(900)


def model_of(folder: Path) -> ModelSpec:
    """A model whose files are a text and whose code is a module that reads it."""
    (folder / "files").mkdir()
    (folder / "files" / "words.txt").write_text("so it is")
    code = folder / "wordy"
    code.mkdir()
    (code / "__init__.py").write_text(
        "from pathlib import Path\n"
        "class Words:\n"
        "    def __init__(self, path): self.text = (Path(path) / 'words.txt').read_text()\n"
        "    def predict(self, asked, params=None): return asked.assign(said=self.text)\n"
        "def _load_pyfunc(path): return Words(path)\n"
    )
    return ModelSpec(
        name="words",
        registered="words",
        about="Says what it has read.",
        folder=str(folder / "files"),
        loader="wordy",
        code=str(code),
        requirements=["pandas==2.3.3"],
        inputs={"n": "long"},
        outputs={"n": "long", "said": "string"},
        example=[{"n": 1}],
        params={"seed": "0"},
    )


def check_model(tracker: Tracker, client: MlflowClient, run_id: str, folder: Path) -> None:
    """The model of a run is a version with a signature and pins, and its files come down."""
    version = tracker.version_of_run("words", run_id)
    assert version is not None and (version.number, version.run_id) == ("1", run_id)
    assert tracker.set_alias(version, "champion") is None and tracker.set_alias(version, "champion") == "1"
    assert tracker.version("models:/words@champion").exact_uri == tracker.version("models:/words/1").exact_uri
    tracker.download_model(run_id, folder / "files")
    assert [p.name for p in (folder / "files").iterdir()] == ["words.txt"]
    source = str(client.get_model_version("words", "1").source)
    logged = client.get_logged_model(source.removeprefix("models:/"))
    assert (logged.source_run_id, str(logged.status)) == (run_id, "READY")
    at = f"{logged.artifact_location}/MLmodel"
    about = Model.load(download_artifacts(artifact_uri=at, tracking_uri=client.tracking_uri))
    assert about.signature is not None
    assert about.signature.inputs.input_names() == ["n"] and about.signature.outputs.input_names() == ["n", "said"]
    for uri, line in [
        ("models:/words@challenger", "'words' has no alias 'challenger' (it has champion is version 1)"),
        ("models:/words/9", "'words' has no version '9'"),
        ("models:/wordz@champion", "no registered model 'wordz'"),
        ("words@champion", "write it as models:/NAME@ALIAS"),
    ]:
        with pytest.raises(UserError) as refused:
            tracker.version(uri)
        assert line in str(refused.value)


def log_all(tracker: Tracker, run: RunHandle, folder: Path) -> str:
    """Everything a run may log, and a nested one; the id of the latter."""
    (folder / "report").mkdir()
    (folder / "report" / "index.html").write_text("<p>fine</p>")
    run.log_params({"seed": 7})
    run.log_metrics_history([("loss", 1 / (i + 1), i) for i in range(5)])
    run.log_artifacts(folder / "report", "report")
    run.log_text("{}", "metrics.json")
    run.log_model(model_of(folder))
    with tracker.nested(run, "table:a", {"table": "a"}) as nested:
        nested.log_metrics({"rows": 3})
    return nested.run_id


def test_a_server_that_goes_away_loses_nothing(tmp_path: Path) -> None:
    settings = TrackingSettings(uri="", experiment="spark-synth/away")
    told: list[str] = []
    with mlflow_server(f"sqlite:///{tmp_path}/mlflow.db", tmp_path) as server:
        settings.uri = server.uri
        tracker = Tracker(settings, spool=tmp_path / "_spool", tell=told.append, patience=2)
        with tracker.run("train", {"stage": "train"}) as run:
            run.log_params({"before": 1})
            server.kill()
            nested = log_all(tracker, run, tmp_path)
        with tracker.run("generate", {"stage": "generate", "train_run_id": run.run_id, "of": nested}) as later:
            later.log_params({"ratio": 2})
        assert len(told) == 1 and "does not answer" in told[0] and str(tmp_path / "_spool") in told[0]
        with pytest.raises(RunError, match="does not answer"):
            tracker.tags(run.run_id)
        assert not Path(tmp_path / "_spool" / "ids.json").exists()
        tracker._spool._file.close()  # type: ignore[union-attr] # as the end of its process does

        server.start()
        again = Tracker(settings, spool=tmp_path / "_spool", tell=told.append)
        check_replayed(again, MlflowClient(server.uri), run.run_id, nested, later.run_id)
        check_model(again, MlflowClient(server.uri), run.run_id, tmp_path / "down")
        assert "entries of runs" in told[-1] and not list((tmp_path / "_spool").glob("*.jsonl"))
        Tracker(settings, spool=tmp_path / "_spool", tell=told.append)
        assert len(told) == 2


def check_replayed(tracker: Tracker, client: MlflowClient, run_id: str, nested: str, later: str) -> None:
    """The runs are as if the server had never been away."""
    found = client.get_run(run_id)
    assert found.info.status == "FINISHED" and found.data.params == {"before": "1", "seed": "7"}
    assert len(client.get_metric_history(run_id, "loss")) == 5
    assert sorted(a.path for a in client.list_artifacts(run_id)) == ["metrics.json", "report"]
    assert nested.startswith("spool-")
    one = tracker.get(nested)
    assert (one.tags["mlflow.parentRunId"], one.metrics["rows"], one.status) == (run_id, 3, "FINISHED")
    two = tracker.get(later)
    assert (two.tags["train_run_id"], two.tags["of"], two.params) == (run_id, one.run_id, {"ratio": "2"})
    assert tracker.find({"train_run_id": run_id}) == two.run_id


def test_a_server_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    settings = TrackingSettings(uri=f"http://127.0.0.1:{free_port()}", experiment="e")
    with pytest.raises(RunError, match="the MLflow store does not answer"):
        Tracker(settings, spool=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_server_over_postgresql(tmp_path: Path) -> None:
    with postgres() as store, mlflow_server(store, tmp_path) as server:
        tracker = Tracker(TrackingSettings(uri=server.uri, experiment="spark-synth/pg"), spool=tmp_path / "_spool")
        with tracker.run("train", {"stage": "train"}, system=True) as run:
            nested = log_all(tracker, run, tmp_path)
        client = MlflowClient(server.uri)
        assert client.get_run(run.run_id).data.metrics["loss"] == 0.2
        assert client.get_run(nested).data.tags["mlflow.parentRunId"] == run.run_id
        check_model(tracker, client, run.run_id, tmp_path / "down")
        assert not (tmp_path / "_spool").exists()
        check_direct(store, run.run_id)


def check_direct(store: str, run_id: str) -> None:
    """The same store without the server."""
    tracker = Tracker(TrackingSettings(uri=store, experiment="spark-synth/pg"))
    assert tracker.params(run_id) == {"seed": "7"}
