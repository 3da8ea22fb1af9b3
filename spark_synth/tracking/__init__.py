"""Runs, parameters, metrics, artifacts and models in MLflow. The only importer of mlflow."""

from spark_synth.tracking.entities import RunData, Version
from spark_synth.tracking.tracker import DatasetInput, ModelSpec, RunHandle, Tracker

__all__ = ["DatasetInput", "ModelSpec", "RunData", "RunHandle", "Tracker", "Version"]
