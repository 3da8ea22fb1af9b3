"""Runs, parameters, metrics and artifacts in MLflow. The only importer of mlflow."""

from spark_synth.tracking.tracker import DatasetInput, RunHandle, Tracker

__all__ = ["DatasetInput", "RunHandle", "Tracker"]
