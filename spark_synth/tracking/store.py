"""Opening an MLflow store quietly. mlflow is imported on first use: it takes seconds."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from spark_synth.errors import RunError, UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_SQLITE = "sqlite:///"
_NOISY = ("mlflow", "alembic", "sqlalchemy")


def open_store(uri: str | None) -> MlflowClient:
    """A client of the store at `uri` (None: the one that MLFLOW_TRACKING_URI or Databricks names)."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")  # it would put its INFO lines on the terminal
    _quieten()
    folder = local_folder(uri)
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


def open_experiment(client: MlflowClient, name: str, uri: str | None) -> str:
    """Id of the experiment of that name, made where it is missing; a local store keeps artifacts beside itself."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    folder = local_folder(uri)
    location = (folder / "mlartifacts").as_uri() if folder is not None else None
    try:
        return str(client.create_experiment(name, artifact_location=location))
    except MlflowException:
        made_meanwhile = client.get_experiment_by_name(name)
        if made_meanwhile is None:
            raise
        return str(made_meanwhile.experiment_id)


def local_folder(uri: str | None) -> Path | None:
    """Folder of a SQLite store; None for any other."""
    if uri is None or not uri.startswith(_SQLITE):
        return None
    return Path(uri.removeprefix(_SQLITE)).absolute().parent


def _quieten() -> None:
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(mlflow|alembic|sqlalchemy)(\.|$)")
