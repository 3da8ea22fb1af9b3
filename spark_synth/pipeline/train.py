"""The train stage: source -> plans -> training sets -> one model per table -> MLflow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from spark_synth.config import RunConfig
from spark_synth.encoding.at_once import each
from spark_synth.encoding.columns import ColumnSettings
from spark_synth.encoding.fit import Fitted, fit_database
from spark_synth.encoding.plan import COURSES, TablePlan
from spark_synth.encoding.training_set import TrainingSet, write_courses, write_training_sets
from spark_synth.generation.kept import keep_rows
from spark_synth.pipeline.families import with_families
from spark_synth.pipeline.jobs import fit_jobs
from spark_synth.pipeline.joins import joins_of
from spark_synth.pipeline.outlook import places, tell_owners
from spark_synth.pipeline.package import Package, save_package
from spark_synth.pipeline.registered import model_spec
from spark_synth.pipeline.state import facts, training_fingerprint
from spark_synth.progress import Progress
from spark_synth.schema.graph import explain_owners
from spark_synth.schema.joins import Join
from spark_synth.schema.model import ForeignKey
from spark_synth.sources import Database
from spark_synth.tracking import DatasetInput, RunHandle, Tracker
from spark_synth.training.job import FitJob, FitResult
from spark_synth.training.place import train_tables
from spark_synth.training.schedule import Places
from spark_synth.whole import write_json


def train_database(
    spark: SparkSession, config: RunConfig, database: Database, tracker: Tracker, progress: Progress
) -> tuple[str, Package]:
    """Train all tables and log them; (MLflow run id, package). Steps that an earlier attempt finished are kept."""
    work = training_folder(config)
    tags = {"stage": "train", "fingerprint": work.name}
    with tracker.run(f"train-{config.source.name}", tags, system=True) as run:
        run.log_params({**_params(config), **facts(config, database.schema), "fingerprint": work.name})
        run.log_text(json.dumps(config.resolved(), indent=1), "config.json")
        choices = explain_owners(database.schema, database.rows)
        owners = {t: c.key for t, c in choices.items()}
        progress.stage("plan")
        where = places(spark, config)
        joins = joins_of(config, database.schema, owners)
        tell_owners(database.schema, choices, joins, progress)
        config = with_families(config, owners, joins, database.rows, progress)
        package, sets = _prepare(spark, config, database, owners, joins, work, where, progress)
        run.log_inputs([_input(config, database, t, work.name, p.rows) for t, p in package.plans.items()])
        jobs = fit_jobs(config, package, sets, work, where)
        progress.stage(f"train {len(jobs)} tables")
        results = train_tables(spark, jobs, _watcher(progress, package.plans))
        for job in jobs:
            _log_model(tracker, run, job, results[job.table])
        run.log_model(model_spec(config, package, {"fingerprint": work.name, "seed": str(config.seed)}))
    return run.run_id, package


def training_folder(config: RunConfig) -> Path:
    """Where the training of this configuration keeps its files."""
    return Path(config.output).absolute() / "_work" / f"train-{training_fingerprint(config)}"


def _prepare(
    spark: SparkSession,
    config: RunConfig,
    database: Database,
    owners: Mapping[str, ForeignKey | None],
    joins: Mapping[str, Join],
    work: Path,
    where: Places,
    progress: Progress,
) -> tuple[Package, dict[str, TrainingSet]]:
    """Plans and training sets, unless an earlier attempt left them whole."""
    from spark_synth.pipeline.package import load_package

    done, folder = work / "prepared.json", work / "model"
    if done.exists():
        sets = {t: TrainingSet(**s) for t, s in json.loads(done.read_text()).items()}
        progress.note("columns and families: kept from the earlier attempt")
        return load_package(folder), sets
    segment_rows = config.model.segment_rows
    progress.stage("fit encoders")
    fitted = fit_database(
        spark,
        _snapshot(spark, database, work),
        database.schema,
        owners,
        joins,
        _column_settings(config),
        segment_rows,
        config.seed,
        str(work),
        progress.note,
    )
    progress.stage("encode families")
    sets = write_training_sets(spark, fitted, segment_rows, config.train.holdout, where.ranks_of, progress.note)
    names = {t: fk.name if fk else None for t, fk in owners.items()}
    write_courses(spark, fitted, segment_rows, config.seed, lambda t: str(folder / t / COURSES))
    package = Package(folder, database.schema, fitted.plans, names, segment_rows, config.seed)
    save_package(package, fitted.blooms)
    for t in package.references:
        keep_table(spark, fitted, t, str(folder / "kept" / t))
    write_json(done, {t: asdict(s) for t, s in sets.items()})
    return package, sets


def _snapshot(spark: SparkSession, database: Database, work: Path) -> dict[str, DataFrame]:
    """The checked source tables as Parquet: training reads the source once, whatever it is."""

    def copy(t: str) -> tuple[str, DataFrame]:
        path = f"{work}/source/{t}"
        database.tables[t].write.mode("overwrite").parquet(path)
        return t, spark.read.schema(database.tables[t].schema).parquet(path)

    return dict(each(list(database.tables), copy))


def keep_table(spark: SparkSession, fitted: Fitted, table: str, path: str) -> None:
    """Write the real rows of a table in the form of generated ones (see generation.kept)."""
    asked = any(table in plan.sources for plan in fitted.plans.values())
    context = spark.read.parquet(f"{fitted.work}/context/{table}") if asked else None
    rows = keep_rows(fitted.frame(spark, table), context, fitted.plans[table])
    rows.coalesce(1).write.mode("overwrite").parquet(path)


def _column_settings(config: RunConfig) -> Any:  # noqa: ANN401
    def settings(table: str) -> ColumnSettings:
        model = config.model_for(table)
        clusters = model.clusters if model.family == "clustered" else 0
        return ColumnSettings(model.max_bins, model.rare_threshold, clusters)

    return settings


def _watcher(progress: Progress, plans: Mapping[str, TablePlan]) -> Any:  # noqa: ANN401
    def watch(table: str, entry: dict[str, Any]) -> None:
        if "note" in entry:
            progress.note(entry["note"])
            return
        if "lacking" in entry:
            where = ", ".join(plans[table].named(entry["lacking"])) or "clusters and links"
            collapsed = f"mode collapse: common values are not made: {where}"
            found = collapsed if entry["lacking"] else "no mode collapse any more"
            progress.note(f"{table}: {found} (epoch {entry['epoch']})")
            return
        left = entry["seconds"] / entry["epoch"] * (entry["epochs"] - entry["epoch"])
        left = min(left, max(0.0, entry.get("limit", left) - entry["seconds"]))  # the clock may stop it before
        progress.epoch(
            table,
            entry["epoch"],
            entry["epochs"],
            entry["train_loss"],
            entry["holdout_loss"],
            entry["rows_per_second"],
            left,
        )

    return watch


def _log_model(tracker: Tracker, run: RunHandle, job: FitJob, result: FitResult) -> None:
    with tracker.nested(run, f"table:{job.table}", {"table": job.table}) as nested:
        nested.log_params(
            {
                "rows": job.train_rows + job.holdout_rows,
                "sub_columns": len(job.spec["cards"]),
                "context": len(job.spec["context_cards"]),
                "train_rows": job.train_rows,
                "holdout_rows": job.holdout_rows,
                "epochs_planned": job.epochs,
                "batch_rows": job.batch_rows,
                "hidden": job.spec["hidden"],
                "head": job.spec["head"],
                "threads": job.threads,
                "ranks": job.ranks,
                "learning_rate": job.learning_rate,
                "ended": result.ended,
                "placed": result.placed,
            }
        )
        told = ("train_loss", "holdout_loss", "collapsed")
        history = [(k, e[k], int(e["epoch"])) for e in result.history for k in told if k in e]
        nested.log_metrics_history(history)
        measured = {
            "rows_per_second": result.rows_per_second,
            "seconds": result.seconds,
            "best_epoch": result.best_epoch,
        }
        if result.history:
            measured["best_holdout_loss"] = result.best_loss
            measured |= {"tied_pairs": result.tables, "tied_holdout_loss": result.tied_loss}
        nested.log_metrics(measured)


def _params(config: RunConfig) -> dict[str, Any]:
    plain = config.resolved()
    return {k: plain[k] for k in ("source", "model", "train")}


def _input(config: RunConfig, database: Database, table: str, digest: str, rows: int) -> DatasetInput:
    """A table as training read it; of a Delta table, its version."""
    path, version = database.places.get(table, (config.source.path, None))
    if version is None:
        return DatasetInput(table, path, digest, rows)
    return DatasetInput(table, path, f"version {version}", rows, kind="delta_table", version=version)
