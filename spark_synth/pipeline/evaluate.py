"""The evaluate stage: real against synthetic in Spark, metrics.json, the report, and both in MLflow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from spark_synth.config import RunConfig
from spark_synth.encoding.plan import TablePlan
from spark_synth.evaluation import evaluate_database, find_ceiling, flatten, write_report
from spark_synth.evaluation.halves import Halves, halves
from spark_synth.evaluation.workload import default_queries, evaluate_workload, read_queries
from spark_synth.generation.run import follows
from spark_synth.pipeline.package import Package
from spark_synth.pipeline.state import Manifest
from spark_synth.pipeline.train import training_folder
from spark_synth.progress import Progress
from spark_synth.sinks import read_delta, table_target
from spark_synth.tracking import Tracker
from spark_synth.whole import write_json


def evaluate_tables(
    spark: SparkSession,
    config: RunConfig,
    real: Mapping[str, DataFrame],
    package: Package,
    manifest: Manifest,
    tracker: Tracker,
    progress: Progress,
) -> dict[str, Any]:
    """Compare, write `metrics.json` and `report/`, log both; returns the metrics."""
    folder = manifest.path.parent
    progress.stage("evaluate")
    asked = config.evaluate.queries
    kept = {t for t, entry in manifest.data["tables"].items() if entry.get("kept")}
    queries = read_queries(Path(asked)) if asked else default_queries(package.schema, kept)
    synth = {t: read_delta(spark, table_target(config.output, folder.name, t)) for t in package.plans}
    metrics = evaluate_database(
        real,
        synth,
        package.schema,
        ratio=manifest.ratio,
        owners=package.owners,
        references=kept,
        settings=config.evaluate,
        told=rows_told(package.plans, manifest),
        note=progress.note,
    )
    cut = _halves(config, real, package) if config.evaluate.ceiling else None
    if cut:
        metrics["ceiling"] = _ceiling(config, cut, package)
        progress.note("halves of the real tables compared")
    metrics["workload"] = evaluate_workload(
        spark, queries, real, synth, (cut.one, cut.other) if cut else None, manifest.ratio
    )
    progress.note(f"{len(queries)} queries answered")
    write_json(folder / "metrics.json", metrics, indent=1)
    write_report(metrics, folder / "report", _about(manifest, folder.name))
    tags = {"stage": "evaluate", "identifier": folder.name, "train_run_id": manifest.data["run_id"]}
    with tracker.run(f"evaluate-{folder.name}", tags) as run:
        run.log_params(
            {
                "identifier": folder.name,
                "ratio": manifest.ratio,
                "evaluate": config.evaluate.model_dump(),
            }
        )
        run.log_metrics(flatten(metrics))
        run.log_artifacts(folder / "report", "report")
        run.log_text(json.dumps(metrics, indent=1), "metrics.json")
        for table, one in metrics["tables"].items():
            with tracker.nested(run, f"table:{table}", {"table": table}) as nested:
                prefix = f"{table}/"
                whole = flatten({**metrics, "tables": {table: one}})
                nested.log_metrics({k.removeprefix(prefix): v for k, v in whole.items() if k.startswith(prefix)})
    manifest.update(state="evaluated", score=metrics["summary"].get("score"), problems=metrics.get("problems", []))
    return metrics


def _halves(config: RunConfig, real: Mapping[str, DataFrame], package: Package) -> Halves:
    """The real tables in two, cut once for a training."""
    folder = training_folder(config) / "halves"
    folder.mkdir(parents=True, exist_ok=True)
    return halves(real, package.schema, package.owners, str(folder), config.seed)


def _ceiling(config: RunConfig, cut: Halves, package: Package) -> dict[str, Any]:
    """What the scores of these real tables can reach, found once for a training."""
    settings = config.evaluate
    name = f"ceiling-{settings.max_pair_columns}-{settings.sample_rows}.json"
    found = training_folder(config) / name
    if not found.exists():
        write_json(found, find_ceiling(cut, package.schema, package.owners, settings), indent=1)
    cached: dict[str, Any] = json.loads(found.read_text())
    return cached


def rows_told(plans: Mapping[str, TablePlan], manifest: Manifest) -> dict[str, int]:
    """Rows of the tables whose size the ratio does not tell: given ones and those that these own, and tables some of
    whose rows a wave left out."""
    entries = manifest.data["tables"]
    given = {t for t, e in entries.items() if e.get("given")}
    given |= {t for t in plans if follows(plans, t, given)}
    cut = {t for w in manifest.data.get("waves", []) for t, e in w["tables"].items() if e.get("left_out")}
    return {t: entries[t]["rows"] for t in given | cut}


def _about(manifest: Manifest, identifier: str) -> dict[str, Any]:
    asked = manifest.data["asked"]
    return {
        "identifier": identifier,
        "seed": asked["seed"],
        "ratio": manifest.ratio,
        "run_id": manifest.data["run_id"],
        "created": manifest.data["created"],
        "versions": manifest.data["versions"],
        "durations": manifest.data.get("durations", {}),
    }
