"""What is asked of MLflow, in plain data: the one module that imports it.

It is imported on first use, since that takes seconds, and its own talk is kept quiet. Runs are named by id, never "the
active run": stages and tables may log at the same time from several threads.
"""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spark_synth.errors import RunError, UserError
from spark_synth.tracking.entities import MODEL_TAG, Refused, RunData, StoreAway, Version

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

_SQLITE = "sqlite:///"
_REMOTE = ("http:", "https:", "databricks", "postgresql", "mysql", "mssql")
_NOISY = ("mlflow", "alembic", "sqlalchemy", "urllib3")
_KIND = {"mlflow.experimentKind": "custom_model_development"}  # which pages MLflow shows of an experiment
_METRICS_AT_ONCE = 1000  # limits of MLflow's batch interface
_PARAMS_AT_ONCE = 100
_TAGS_AT_ONCE = 100


class Store:
    """A tracking store and its model registry. Opened when it is made, so that one that is out of reach fails early."""

    def __init__(self, uri: str | None) -> None:
        self._client = _open_store(uri)
        self.uri = str(self._client.tracking_uri)
        self.remote = self.uri.startswith(_REMOTE)
        self._folder = _local_folder(uri)

    def experiment(self, name: str) -> str:
        """Id of the experiment of that name, made where it is missing; a local store keeps artifacts beside itself."""
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        location = (self._folder / "mlartifacts").as_uri() if self._folder is not None else None
        try:
            return str(self._client.create_experiment(name, artifact_location=location, tags=_KIND))
        except MlflowException:
            made_meanwhile = self._client.get_experiment_by_name(name)
            if made_meanwhile is None:
                raise
            return str(made_meanwhile.experiment_id)

    def apply(self, entry: Mapping[str, Any]) -> str | None:
        """Write one entry of a run (see tracking.tracker): `do` names what. The id of a run that was made by it."""
        with self._answering():
            do: Callable[..., str | None] = getattr(self, f"_{entry['do']}")
            return do(**{k: v for k, v in entry.items() if k != "do"})

    def run(self, run_id: str) -> RunData:
        """A run; UserError where the store has none of that id."""
        with self._answering(f"MLflow run {run_id!r} is not in this store"):
            return _plain(self._client.get_run(run_id))

    def runs(self, experiments: Sequence[str], tags: Mapping[str, str], most: int = 1) -> list[RunData]:
        """The latest finished runs that bear all these tags; of all experiments where none is named."""
        wanted = [f"tags.`{name}` = '{value}'" for name, value in tags.items()]
        with self._answering():
            places = list(experiments) or [str(e.experiment_id) for e in self._client.search_experiments()]
            found = self._client.search_runs(
                places,
                filter_string=" and ".join([*wanted, "attributes.status = 'FINISHED'"]),
                order_by=["attributes.start_time DESC"],
                max_results=most,
            )
        return [_plain(r) for r in found]

    def download_model(self, model_id: str, dest: Path, missing: str) -> Path:
        """Copy all files of a logged model below `dest`; returns where they lie. UserError where they are not there."""
        with self._answering(missing):  # MLflow looks for models:/ID in the store of the process, not in this one
            location = self._client.get_logged_model(model_id).artifact_location
        return self.download(location, dest, missing)

    def download(self, artifact_uri: str, dest: Path, missing: str) -> Path:
        """Copy an artifact (file or folder) below `dest`; returns where it lies. UserError where it is not there."""
        from mlflow.artifacts import download_artifacts

        dest.mkdir(parents=True, exist_ok=True)
        with self._answering(missing):
            found = download_artifacts(artifact_uri=artifact_uri, dst_path=str(dest), tracking_uri=self.uri)
        return Path(found)

    def version(self, name: str, alias: str | None, number: str | None) -> Version:
        """The version of a registered model that an alias or a number names."""
        with self._answering(f"no registered model {name!r} in {self._shown}"):
            self._client.get_registered_model(name)
        asked = f"models:/{name}@{alias}" if alias else f"models:/{name}/{number}"
        missing = f"registered model {name!r} has no {'alias' if alias else 'version'} {alias or number!r}"
        with self._answering(f"{missing} ({self._known(name)})"):
            found = (
                self._client.get_model_version_by_alias(name, alias)
                if alias
                else self._client.get_model_version(name, str(number))
            )
        return _version(found, asked)

    def version_of_run(self, name: str, run_id: str) -> Version | None:
        """The version of a registered model that a run has trained."""
        with self._answering():
            found = self._client.search_model_versions(f"name = '{name}'")
        same = [v for v in found if v.run_id == run_id]
        return _version(same[0], f"models:/{name}/{same[0].version}") if same else None

    def set_alias(self, version: Version, alias: str) -> str | None:
        """Give a version that alias; the number of the version that had it."""
        with self._answering():
            had = self._client.get_registered_model(version.name).aliases.get(alias)
            self._client.set_registered_model_alias(version.name, alias, version.number)
        return None if had is None else str(had)

    def system_sampler(self) -> tuple[float, Callable[[], dict[str, float]]]:
        """Seconds between two samples of this machine's load, and what takes one: figures of MLflow's system tab."""
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        monitor: Any = SystemMetricsMonitor("", tracking_uri=self.uri)  # type: ignore[no-untyped-call]

        def sample() -> dict[str, float]:
            monitor.collect_metrics()
            found = monitor.aggregate_metrics()
            for each in monitor.monitors:
                each.clear_metrics()
            return {f"system/{name}": float(value) for name, value in found.items()}

        return float(monitor.sampling_interval), sample

    @property
    def _shown(self) -> str:
        return "this store" if "@" in self.uri else self.uri

    def _known(self, name: str) -> str:
        aliases = self._client.get_registered_model(name).aliases
        known = ", ".join(f"{a} is version {v}" for a, v in sorted(aliases.items()))
        return f"it has {known}" if known else "it has no alias yet: run `spark-synth promote`"

    def _create_run(self, experiment: str, name: str, tags: dict[str, str], began: int) -> str:
        made = self._client.create_run(experiment, start_time=began, run_name=name, tags=tags)
        return str(made.info.run_id)

    def _batch(
        self,
        run: str,
        params: Mapping[str, str] | None = None,
        metrics: Sequence[tuple[str, float, int, int]] = (),
        tags: Mapping[str, str] | None = None,
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH

        cut = [Param(k, _cut(v, MAX_PARAM_VAL_LENGTH)) for k, v in (params or {}).items()]
        for part in _chunks(cut, _PARAMS_AT_ONCE):
            self._client.log_batch(run, params=part)
        for part in _chunks([Metric(*m) for m in metrics], _METRICS_AT_ONCE):
            self._client.log_batch(run, metrics=part)
        for part in _chunks([RunTag(k, v) for k, v in (tags or {}).items()], _TAGS_AT_ONCE):
            self._client.log_batch(run, tags=part)

    def _inputs(self, run: str, inputs: Sequence[Mapping[str, str | None]]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        tags = [InputTag("mlflow.data.context", str(each["context"])) for each in inputs]
        plain: list[dict[str, Any]] = [{k: v for k, v in each.items() if k != "context"} for each in inputs]
        sets = [DatasetInput(Dataset(**each), tags=[tag]) for each, tag in zip(plain, tags, strict=True)]
        self._client.log_inputs(run, datasets=sets)

    def _artifacts(self, run: str, folder: str, path: str | None) -> None:
        self._client.log_artifacts(run, folder, path)

    def _text(self, run: str, text: str, path: str) -> None:
        self._client.log_text(run, text, path)

    def _end(self, run: str, status: str, ended: int) -> None:
        self._client.set_terminated(run, status, ended)

    def _model(self, run: str, model: Mapping[str, Any]) -> None:
        """Log a model of the run and register it; what an earlier attempt has done already is not done again."""
        model_id = self._client.get_run(run).data.tags.get(MODEL_TAG)
        if model_id is None:
            model_id = self._log_model(run, model)
            self._client.set_tag(run, MODEL_TAG, model_id)
        name = model["registered"]
        if not self._has_model(name):
            self._client.create_registered_model(name, description=model["about"])
        if self.version_of_run(name, run) is None:
            with self._as_the_store():
                self._client.create_model_version(name, f"models:/{model_id}", run, model_id=model_id)

    @contextmanager
    def _as_the_store(self) -> Iterator[None]:
        """This store as that of the process, where MLflow's registry in a database looks for a logged model."""
        import mlflow

        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(self.uri)
        try:
            yield
        finally:
            mlflow.set_tracking_uri(before)

    def _has_model(self, name: str) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            self._client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False
        return True

    def _log_model(self, run: str, model: Mapping[str, Any]) -> str:
        import pandas as pd
        from mlflow import pyfunc
        from mlflow.entities import LoggedModelOutput
        from mlflow.models import Model, ModelSignature
        from mlflow.types import ColSpec, Schema

        def columns(side: str) -> Schema:
            return Schema([ColSpec(type_, name) for name, type_ in model[side].items()])

        about = self._client.get_run(run).info
        made = self._client.create_logged_model(about.experiment_id, model["name"], run, params=model["params"])
        with tempfile.TemporaryDirectory() as folder:
            pyfunc.save_model(
                f"{folder}/model",
                loader_module=model["loader"],
                data_path=model["folder"],
                code_paths=[model["code"]],
                mlflow_model=Model(made.artifact_location, run, model_id=made.model_id),
                signature=ModelSignature(columns("inputs"), columns("outputs")),
                input_example=pd.DataFrame(model["example"]),
                pip_requirements=model["requirements"],
            )
            self._client.log_model_artifacts(made.model_id, f"{folder}/model")
        self._client.finalize_logged_model(made.model_id, "READY")
        self._client.log_outputs(run, [LoggedModelOutput(made.model_id, 0)])
        return str(made.model_id)

    @contextmanager
    def _answering(self, missing: str | None = None) -> Iterator[None]:
        """StoreAway where a server does not answer, UserError `missing` where it has not what was asked for."""
        import requests
        from mlflow.exceptions import MlflowException

        try:
            yield
        except MlflowException as error:
            status: int = error.get_http_status_code()  # type: ignore[no-untyped-call]
            if self.remote and (status >= 500 or status == 429):
                raise StoreAway(_first_line(error)) from error
            if missing is not None:
                raise UserError(missing) from None
            raise Refused(_first_line(error)) from error
        except (requests.RequestException, ConnectionError, TimeoutError) as error:
            raise StoreAway(_first_line(error)) from error
        except OSError:
            if missing is None:
                raise
            raise UserError(missing) from None


def _open_store(uri: str | None) -> MlflowClient:
    """A client of the store at `uri` (None: the one that MLFLOW_TRACKING_URI or Databricks names)."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")  # it would put its INFO lines on the terminal
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # the tracker has patience of its own
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
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
        raise RunError(f"the MLflow store does not answer: {_first_line(error)}") from error
    finally:
        _quieten()  # mlflow and alembic set their own levels when they are loaded
    return client


def _local_folder(uri: str | None) -> Path | None:
    """Folder of a SQLite store; None for any other."""
    if uri is None or not uri.startswith(_SQLITE):
        return None
    return Path(uri.removeprefix(_SQLITE)).absolute().parent


def _quieten() -> None:
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(mlflow|alembic|sqlalchemy)(\.|$)")


def _plain(run: Run) -> RunData:
    info, data = run.info, run.data
    tags, params, metrics = dict(data.tags), dict(data.params), dict(data.metrics)
    return RunData(info.run_id, str(info.run_name), str(info.status), int(info.start_time), tags, params, metrics)


def _version(found: ModelVersion, uri: str) -> Version:
    return Version(found.name, str(found.version), str(found.run_id), uri)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _chunks(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
