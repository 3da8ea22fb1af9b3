"""Which training a database is generated from, and where its package lies."""

from __future__ import annotations

from pathlib import Path

from spark_synth.config import RunConfig
from spark_synth.errors import UserError
from spark_synth.pipeline.package import DATABASE, Package, load_package
from spark_synth.pipeline.state import Manifest
from spark_synth.pipeline.train import training_folder
from spark_synth.progress import Progress
from spark_synth.schema import load_schema
from spark_synth.tracking import Tracker, Version


def open_tracker(config: RunConfig, progress: Progress) -> Tracker:
    """The experiment of a configuration, with a spool beside the output."""
    return Tracker(config.tracking, spool=Path(config.output).absolute() / "_spool", tell=progress.note)


def latest_training(config: RunConfig, tracker: Tracker) -> str:
    """Run id of the last training of this configuration, else of the last one of the experiment."""
    found = tracker.find({"stage": "train", "fingerprint": training_folder(config).name})
    found = found or tracker.find({"stage": "train"})
    if found is None:
        raise UserError("no finished train run in the tracking store: run `spark-synth train` first, or pass --run")
    return found


def package_of(config: RunConfig, tracker: Tracker, run_id: str) -> Package:
    """The trained package of a run, from the training folder if it is still there, else from its model in MLflow."""
    fingerprint = tracker.tags(run_id).get("fingerprint", "")
    work = Path(config.output).absolute() / "_work"
    local = work / fingerprint / "model"
    if not fingerprint or not (local / DATABASE).exists():
        local = work / f"run-{run_id}" / "model"
    if not (local / DATABASE).exists():
        tracker.download_model(run_id, local)
    return load_package(local)


def registered(config: RunConfig, tracker: Tracker, uri: str) -> Version:
    """The registered version that models:/NAME@ALIAS or models:/NAME/VERSION names."""
    version = tracker.version(uri)
    check_schema_of(config, package_of(config, tracker, version.run_id), version)
    return version


def check_schema_of(config: RunConfig, package: Package, version: Version) -> None:
    """UserError where a registered model was trained on other tables or columns than the configuration names."""
    asked, trained = load_schema(config.schema_path).tables, package.schema.tables
    named = f"model {version.uri} (version {version.number})"
    if odd := sorted(set(asked) ^ set(trained)):
        place = "the model alone" if odd[0] in trained else "the schema of the configuration alone"
        raise UserError(f"{named} was trained on another schema: table {odd[0]!r} is in {place}")
    for table, spec in trained.items():
        missing = [c for c in spec.columns if c not in asked[table].columns]
        if missing or spec.primary_key != asked[table].primary_key:
            what = f"column {table}.{missing[0]} is in the model alone" if missing else f"the primary key of {table}"
            raise UserError(f"{named} was trained on another schema: {what}")


def check_training(config: RunConfig, tracker: Tracker, manifest: Manifest) -> None:
    """UserError where the configuration, whatever its seed, asks for another training than that of a database."""
    run_id = manifest.data["run_id"]
    trained = config.model_copy(update={"seed": int(tracker.params(run_id).get("seed", config.seed))})
    if tracker.tags(run_id).get("fingerprint") != training_folder(trained).name:
        raise UserError(
            f"{manifest.name} was generated with run {run_id}, and this configuration (source, schema, "
            "model options) asks for another training: name that run with --run, or generate another database"
        )
