"""An experiment and its runs. Whatever a run logs is an entry of plain data: written at once, or spooled while the
tracking server is away."""

from __future__ import annotations

import getpass
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from spark_synth.errors import RunError, UserError
from spark_synth.tracking.entities import MODEL_TAG, RunData, StoreAway, Version
from spark_synth.tracking.spool import Spool
from spark_synth.tracking.store import Store
from spark_synth.tracking.system import system_metrics

if TYPE_CHECKING:
    from spark_synth.config import TrackingSettings

T = TypeVar("T")
PATIENCE = 45.0  # seconds in which a server that went away may come back
_PAUSES = (0.5, 1, 2, 4, 8)  # seconds between two attempts; the last one again and again
_PARENT_TAG = "mlflow.parentRunId"


@dataclass(frozen=True)
class DatasetInput:
    """A data set that a run read: where it is, and a digest that tells one version from another.

    kind: local or delta_table; version: of a Delta table.
    """

    name: str
    source: str
    digest: str
    rows: int | None = None
    context: str = "training"
    kind: str = "local"
    version: int | None = None

    def entry(self) -> dict[str, str | None]:
        """In the fields of MLflow's Dataset, with its context."""
        known = {"num_rows": self.rows, "delta_version": self.version}
        profile = {k: v for k, v in known.items() if v is not None}
        where = {"path": self.source, "delta_table_version": self.version} if self.kind == "delta_table" else None
        return {
            "name": self.name,
            "digest": self.digest[:36],
            "source_type": self.kind,
            "source": json.dumps(where) if where else self.source,
            "profile": json.dumps(profile) if profile else None,
            "context": self.context,
        }


@dataclass(frozen=True)
class ModelSpec:
    """A model to be logged. folder: its files; loader: module whose `_load_pyfunc` opens them, of the package in the
    folder `code`; inputs, outputs: MLflow's type by column; registered: the name under which it becomes a version."""

    name: str
    registered: str
    about: str
    folder: str
    loader: str
    code: str
    requirements: list[str]
    inputs: dict[str, str]
    outputs: dict[str, str]
    example: list[dict[str, Any]]
    params: dict[str, str]


class RunHandle:
    """A run that is being written."""

    def __init__(self, write: Callable[[Mapping[str, Any]], str | None], run_id: str) -> None:
        self._write = write
        self.run_id = run_id

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Parameters of any type; nested mappings become dotted names, values are cut at MLflow's length."""
        self._log("batch", params={name: str(value) for name, value in _flatten(params)})

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Metrics of one step."""
        self.log_metrics_history([(name, value, step or 0) for name, value in metrics.items()])

    def log_metrics_history(self, history: Sequence[tuple[str, float, int]]) -> None:
        """Many (name, value, step) at once, such as the losses of all epochs."""
        now = _now()
        self._log("batch", metrics=[(_name(name), float(value), now, step) for name, value, step in history])

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Tags of the run."""
        self._log("batch", tags=dict(tags))

    def log_inputs(self, inputs: Sequence[DatasetInput]) -> None:
        """The data sets this run read."""
        self._log("inputs", inputs=[each.entry() for each in inputs])

    def log_artifacts(self, folder: str | Path, artifact_path: str | None = None) -> None:
        """All files below a folder."""
        self._log("artifacts", folder=str(folder), path=artifact_path)

    def log_text(self, text: str, path: str) -> None:
        """A text as the artifact `path`."""
        self._log("text", text=text, path=path)

    def log_model(self, model: ModelSpec) -> None:
        """A model of this run, which becomes a version of the registered one."""
        self._log("model", model=vars(model))

    def _log(self, do: str, **what: Any) -> None:  # noqa: ANN401 - what JSON takes
        self._write({"do": do, "run": self.run_id, **what})


class Tracker:
    """An MLflow experiment. Opens the store when it is made, so that a store that is out of reach fails early.

    spool: folder that takes what is logged once a tracking server has gone away; what earlier processes have left
    there is written first. tell: is told what a user should know, one line each.
    """

    def __init__(
        self,
        settings: TrackingSettings,
        experiment: str | None = None,
        spool: Path | None = None,
        tell: Callable[[str], None] = lambda line: None,
        patience: float = PATIENCE,
    ) -> None:
        name = experiment or settings.experiment
        if not name:
            raise UserError("option 'tracking.experiment' is missing: name the MLflow experiment")
        self._tell, self._patience, self._lock, self._away = tell, patience, threading.RLock(), False
        self._store = Store(settings.uri)
        self.experiment_id = self._store.experiment(name)
        self._spool = Spool(spool, self._store.uri) if spool is not None and self._store.remote else None
        if self._spool is not None:
            self._replay(self._spool)

    @contextmanager
    def run(
        self,
        name: str,
        tags: Mapping[str, str] | None = None,
        parent_id: str | None = None,
        system: bool = False,
    ) -> Iterator[RunHandle]:
        """A run that ends with the block: FINISHED, FAILED where the block raises, KILLED where it is interrupted.

        system: whether the load of this machine is logged while the block runs.
        """
        labels = self._real({**(tags or {}), **({_PARENT_TAG: parent_id} if parent_id else {}), **_by()})
        made = {"experiment": self.experiment_id, "name": name, "tags": labels, "began": _now()}
        run_id = self._write({"do": "create_run", **made})
        assert run_id is not None
        handle, status = RunHandle(self._write, run_id), "FINISHED"
        try:
            if system:
                with system_metrics(handle.log_metrics, *self._store.system_sampler()):
                    yield handle
            else:
                yield handle
        except BaseException as error:
            status = "FAILED" if isinstance(error, Exception) else "KILLED"
            raise
        finally:
            self._write({"do": "end", "run": run_id, "status": status, "ended": _now()})

    @contextmanager
    def nested(self, parent: RunHandle, name: str, tags: Mapping[str, str] | None = None) -> Iterator[RunHandle]:
        """A run below another, such as that of one table."""
        with self.run(name, tags, parent.run_id) as handle:
            yield handle

    def resume(self, run_id: str) -> RunHandle:
        """A handle on a run that was made before; UserError where the store has none of that id."""
        return RunHandle(self._write, self.get(run_id).run_id)

    def get(self, run_id: str) -> RunData:
        """A run with all that was logged; UserError where the store has none of that id."""
        return self._read(lambda: self._store.run(self._real(run_id)))

    def tags(self, run_id: str) -> dict[str, str]:
        """Tags of a run; UserError where the store has none of that id."""
        return self.get(run_id).tags

    def params(self, run_id: str) -> dict[str, str]:
        """Parameters of a run, as text; UserError where the store has none of that id."""
        return self.get(run_id).params

    def find(self, tags: Mapping[str, str]) -> str | None:
        """Id of the latest finished run of this experiment that bears all these tags."""
        found = self.last([self.experiment_id], tags)
        return found.run_id if found else None

    def last(self, experiments: Sequence[str], tags: Mapping[str, str]) -> RunData | None:
        """The latest finished run that bears all these tags; of all experiments of the store where none is named."""
        found = self._read(lambda: self._store.runs(experiments, self._real(dict(tags))))
        return found[0] if found else None

    def download(self, run_id: str, artifact_path: str, dest: str | Path) -> Path:
        """Copy an artifact (file or folder) of a run below `dest`; returns where it lies. UserError where it is not."""
        run = self.get(run_id).run_id
        missing = f"MLflow run {run} has no artifact {artifact_path!r}"
        return self._read(lambda: self._store.download(f"runs:/{run}/{artifact_path}", Path(dest), missing))

    def download_model(self, run_id: str, dest: Path) -> None:
        """Copy the files of the model of a run to the folder `dest`; UserError where it has none."""
        model = self.tags(run_id).get(MODEL_TAG)
        if model is None:
            raise UserError(f"MLflow run {run_id} has no model: name a finished train run")
        missing, dest = f"the files of model {model} of MLflow run {run_id} are gone", dest.absolute()
        dest.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=dest.parent) as whole:
            found = self._read(lambda: self._store.download_model(model, Path(whole), missing))
            next((found / "data").iterdir()).replace(dest)

    def version(self, uri: str) -> Version:
        """The version of a registered model at models:/NAME@ALIAS or models:/NAME/NUMBER; UserError where none is."""
        name, at, alias = uri.removeprefix("models:/").partition("@")
        name, slash, number = (name, "", "") if at else name.partition("/")
        if not uri.startswith("models:/") or not name or not (alias or number.isdigit()):
            raise UserError(f"--model {uri!r}: write it as models:/NAME@ALIAS or models:/NAME/VERSION")
        return self._read(lambda: self._store.version(name, alias or None, number or None))

    def version_of_run(self, name: str, run_id: str) -> Version | None:
        """The version of a registered model that a run has trained."""
        return self._read(lambda: self._store.version_of_run(name, self._real(run_id)))

    def set_alias(self, version: Version, alias: str) -> str | None:
        """Give a version that alias; the number of the version that had it before."""
        return self._read(lambda: self._store.set_alias(version, alias))

    def _write(self, entry: Mapping[str, Any]) -> str | None:
        """Write an entry, or spool it once the server is away; the id of the run that was made by it."""
        with self._lock:
            if self._away and self._spool is not None:
                return self._spool.add(entry)
            entry = self._real(entry)
            if self._spool is None:
                return self._read(lambda: self._store.apply(entry))
            try:
                return self._patiently(lambda: self._store.apply(entry))
            except StoreAway as error:
                self._away = True
                self._tell(
                    f"the MLflow server does not answer ({error}): the run goes on, what it logs is kept in "
                    f"{self._spool.folder} and written by the next command with this store and output"
                )
                return self._spool.add(entry)

    def _read(self, ask: Callable[[], T]) -> T:
        try:
            return self._patiently(ask)
        except StoreAway as error:
            raise RunError(f"the MLflow store does not answer: {error}") from error

    def _patiently(self, ask: Callable[[], T]) -> T:
        """What `ask` returns; asked again, with growing pauses, while the server is away, for `patience` seconds."""
        last, attempt = time.monotonic() + self._patience, 0
        while True:
            try:
                return ask()
            except StoreAway:
                pause = _PAUSES[min(attempt, len(_PAUSES) - 1)]
                attempt += 1
                if time.monotonic() + pause > last:
                    raise
                time.sleep(pause)

    def _replay(self, spool: Spool) -> None:
        try:
            done = spool.replay(lambda entry: self._patiently(lambda: self._store.apply(entry)), self._tell)
        except StoreAway as error:
            self._tell(f"the MLflow server went away while {spool.folder} was written to it: {error}")
        else:
            if done:
                self._tell(f"{done} entries of runs that the MLflow server had missed were written to it")

    def _real(self, value: T) -> T:
        known: T = self._spool.real(value) if self._spool is not None else value
        return known


def _by() -> dict[str, str]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that no user has
        user = "unknown"
    return {"mlflow.user": user, "mlflow.source.name": "spark-synth", "mlflow.source.type": "LOCAL"}


def _now() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)


def _flatten(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in params.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield _name(f"{prefix}{key}"), value


def _name(text: str) -> str:
    """A name that MLflow takes: table and column names may hold characters it refuses."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-. /:") else "_" for c in text).strip("/")[:250]
