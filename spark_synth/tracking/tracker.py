"""Runs by id, never by "the active run": stages and tables may log at the same time from several threads.

The one module that imports mlflow, and only on first use, since that takes seconds; its own talk is kept quiet.
"""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spark_synth.errors import RunError, UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from spark_synth.config import TrackingSettings

_SQLITE = "sqlite:///"
_NOISY = ("mlflow", "alembic", "sqlalchemy")
_PARENT_TAG = "mlflow.parentRunId"
_METRICS_AT_ONCE = 1000  # limits of MLflow's batch interface
_PARAMS_AT_ONCE = 100
_TAGS_AT_ONCE = 100


@dataclass(frozen=True)
class DatasetInput:
    """A data set that a run read: where it is, and a digest that tells one version from another."""

    name: str
    source: str
    digest: str
    rows: int | None = None
    context: str = "training"


class RunHandle:
    """A run that is being written."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self.run_id = run_id

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Parameters of any type; nested mappings become dotted names, values are cut at MLflow's length."""
        from mlflow.entities import Param
        from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH

        flat = [Param(name, _cut(str(value), MAX_PARAM_VAL_LENGTH)) for name, value in _flatten(params)]
        for chunk in _chunks(flat, _PARAMS_AT_ONCE):
            self._client.log_batch(self.run_id, params=chunk)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Metrics of one step."""
        self.log_metrics_history([(name, value, step or 0) for name, value in metrics.items()])

    def log_metrics_history(self, history: Sequence[tuple[str, float, int]]) -> None:
        """Many (name, value, step) at once, such as the losses of all epochs."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(_name(name), float(value), now, step) for name, value, step in history]
        for chunk in _chunks(metrics, _METRICS_AT_ONCE):
            self._client.log_batch(self.run_id, metrics=chunk)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Tags of the run."""
        from mlflow.entities import RunTag

        for chunk in _chunks([RunTag(name, value) for name, value in tags.items()], _TAGS_AT_ONCE):
            self._client.log_batch(self.run_id, tags=chunk)

    def log_inputs(self, inputs: Sequence[DatasetInput]) -> None:
        """The data sets this run read."""
        from mlflow.entities import Dataset, InputTag
        from mlflow.entities import DatasetInput as Input

        self._client.log_inputs(
            self.run_id,
            datasets=[
                Input(
                    Dataset(
                        name=each.name,
                        digest=each.digest[:36],
                        source_type="local",
                        source=each.source,
                        profile=None if each.rows is None else f'{{"num_rows": {each.rows}}}',
                    ),
                    tags=[InputTag("mlflow.data.context", each.context)],
                )
                for each in inputs
            ],
        )

    def log_artifacts(self, folder: str | Path, artifact_path: str | None = None) -> None:
        """All files below a folder."""
        self._client.log_artifacts(self.run_id, str(folder), artifact_path)

    def log_text(self, text: str, path: str) -> None:
        """A text as the artifact `path`."""
        self._client.log_text(self.run_id, text, path)


class Tracker:
    """An MLflow experiment. Opens the store when it is made, so that a store that is out of reach fails early."""

    def __init__(self, settings: TrackingSettings, experiment: str | None = None) -> None:
        name = experiment or settings.experiment
        if not name:
            raise UserError("option 'tracking.experiment' is missing: name the MLflow experiment")
        self._client = _open_store(settings.uri)
        self.experiment_id = _open_experiment(self._client, name, settings.uri)

    @contextmanager
    def run(
        self, name: str, tags: Mapping[str, str] | None = None, parent_id: str | None = None
    ) -> Iterator[RunHandle]:
        """A run that ends with the block: FINISHED, FAILED where the block raises, KILLED where it is interrupted."""
        labels = {**(tags or {}), **({_PARENT_TAG: parent_id} if parent_id else {})}
        run_id = self._client.create_run(self.experiment_id, run_name=name, tags=labels).info.run_id
        status = "FINISHED"
        try:
            yield RunHandle(self._client, run_id)
        except BaseException as error:
            status = "FAILED" if isinstance(error, Exception) else "KILLED"
            raise
        finally:
            self._client.set_terminated(run_id, status)

    @contextmanager
    def nested(self, parent: RunHandle, name: str, tags: Mapping[str, str] | None = None) -> Iterator[RunHandle]:
        """A run below another, such as that of one table."""
        with self.run(name, tags, parent.run_id) as handle:
            yield handle

    def resume(self, run_id: str) -> RunHandle:
        """A handle on a run that was made before; UserError where the store has none of that id."""
        self.tags(run_id)
        return RunHandle(self._client, run_id)

    def find(self, tags: Mapping[str, str]) -> str | None:
        """Id of the latest finished run of this experiment that bears all these tags."""
        wanted = [f"tags.`{name}` = '{value}'" for name, value in tags.items()]
        found = self._client.search_runs(
            [self.experiment_id],
            filter_string=" and ".join([*wanted, "attributes.status = 'FINISHED'"]),
            order_by=["attributes.start_time DESC"],
            max_results=1,
        )
        return found[0].info.run_id if found else None

    def tags(self, run_id: str) -> dict[str, str]:
        """Tags of a run; UserError where the store has none of that id."""
        return dict(self._run(run_id).data.tags)

    def params(self, run_id: str) -> dict[str, str]:
        """Parameters of a run, as text; UserError where the store has none of that id."""
        return dict(self._run(run_id).data.params)

    def _run(self, run_id: str) -> Run:
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_run(run_id)
        except MlflowException:
            raise UserError(f"MLflow run {run_id!r} is not in this store (experiment {self.experiment_id})") from None

    def download(self, run_id: str, artifact_path: str, dest: str | Path) -> Path:
        """Copy an artifact (file or folder) of a run below `dest`; returns where it lies. UserError where it is not."""
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        self.tags(run_id)
        Path(dest).mkdir(parents=True, exist_ok=True)
        try:
            found = download_artifacts(
                run_id=run_id,
                artifact_path=artifact_path,
                dst_path=str(dest),
                tracking_uri=self._client.tracking_uri,
            )
        except (MlflowException, OSError):
            raise UserError(f"MLflow run {run_id} has no artifact {artifact_path!r}") from None
        return Path(found)


def _open_store(uri: str | None) -> MlflowClient:
    """A client of the store at `uri` (None: the one that MLFLOW_TRACKING_URI or Databricks names)."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")  # it would put its INFO lines on the terminal
    _quieten()
    folder = _local_folder(uri)
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"option 'tracking.uri': {folder} cannot be written: {error.strerror}") from None
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        client = MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)  # opens the store now, and makes the tables of a new one
    except MlflowException as error:
        raise RunError(f"the MLflow store does not answer: {str(error).splitlines()[0]}") from error
    finally:
        _quieten()  # mlflow and alembic set their own levels when they are loaded
    return client


def _open_experiment(client: MlflowClient, name: str, uri: str | None) -> str:
    """Id of the experiment of that name, made where it is missing; a local store keeps artifacts beside itself."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    folder = _local_folder(uri)
    location = (folder / "mlartifacts").as_uri() if folder is not None else None
    try:
        return str(client.create_experiment(name, artifact_location=location))
    except MlflowException:
        made_meanwhile = client.get_experiment_by_name(name)
        if made_meanwhile is None:
            raise
        return str(made_meanwhile.experiment_id)


def _local_folder(uri: str | None) -> Path | None:
    """Folder of a SQLite store; None for any other."""
    if uri is None or not uri.startswith(_SQLITE):
        return None
    return Path(uri.removeprefix(_SQLITE)).absolute().parent


def _quieten() -> None:
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(mlflow|alembic|sqlalchemy)(\.|$)")


def _flatten(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in params.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield _name(f"{prefix}{key}"), value


def _name(text: str) -> str:
    """A name that MLflow takes: table and column names may hold characters it refuses."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-. /:") else "_" for c in text).strip("/")[:250]


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _chunks(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
