"""The evaluate stage: real against synthetic in Spark, metrics.json, the report, and both in MLflow."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from spark_synth.config import RunConfig
from spark_synth.encoding.held import held_rows
from spark_synth.encoding.plan import TablePlan
from spark_synth.evaluation import evaluate_database, find_ceiling, flatten, write_report
from spark_synth.evaluation.halves import Halves, halves
from spark_synth.evaluation.privacy import evaluate_privacy
from spark_synth.evaluation.targets import evaluate_target
from spark_synth.evaluation.workload import default_queries, evaluate_workload, read_queries
from spark_synth.generation.run import follows
from spark_synth.pipeline.gates import gate_figures
from spark_synth.pipeline.package import Package
from spark_synth.pipeline.state import Manifest, facts
from spark_synth.pipeline.train import training_folder
from spark_synth.pipeline.treated import treated_columns
from spark_synth.progress import Progress
from spark_synth.sinks import read_version, table_target
from spark_synth.tracking import DatasetInput, Tracker
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
    targets = {t: table_target(config.output, folder.name, t) for t in package.plans}
    found = {t: read_version(spark, target) for t, target in targets.items()}
    synth = {t: rows for t, (rows, _) in found.items()}
    metrics = _measured(spark, config, (real, synth), package, manifest, progress.note)
    write_json(folder / "metrics.json", metrics, indent=1)
    write_report(metrics, folder / "report", _about(manifest, folder.name), package.schema)
    tags = {"stage": "evaluate", "identifier": folder.name, "train_run_id": manifest.data["run_id"]}
    gates = {name: gate.model_dump(exclude_none=True) for name, gate in config.gates.items()}
    with tracker.run(f"evaluate-{folder.name}", tags, system=True) as run:
        what = {"identifier": folder.name, "ratio": manifest.ratio, "evaluate": config.evaluate.model_dump()}
        run.log_params({**what, "gates": gates, **facts(config, package.schema)})
        run.log_inputs(
            [
                DatasetInput(t, targets[t], f"version {n}", None, "evaluation", "delta_table", n)
                for t, (_, n) in found.items()
            ]
        )
        run.log_metrics({**flatten(metrics), **gate_figures(config.gates, metrics)})
        run.log_artifacts(folder / "report", "report")
        run.log_text(json.dumps(metrics, indent=1), "metrics.json")
        for table, one in metrics["tables"].items():
            with tracker.nested(run, f"table:{table}", {"table": table}) as nested:
                prefix = f"{table}/"
                whole = flatten({"summary": {}, "problems": [], "tables": {table: one}})
                nested.log_metrics({k.removeprefix(prefix): v for k, v in whole.items() if k.startswith(prefix)})
    manifest.update(state="evaluated", score=metrics["summary"].get("score"), problems=metrics.get("problems", []))
    return metrics


def _measured(
    spark: SparkSession,
    config: RunConfig,
    sides: tuple[Mapping[str, DataFrame], Mapping[str, DataFrame]],
    package: Package,
    manifest: Manifest,
    note: Callable[[str], None],
) -> dict[str, Any]:
    """All figures. sides: real and synthetic tables."""
    (real, synth), schema, settings = sides, package.schema, config.evaluate
    kept = {t for t, entry in manifest.data["tables"].items() if entry.get("kept")}
    queries = read_queries(Path(settings.queries)) if settings.queries else default_queries(schema, kept)
    metrics = evaluate_database(
        real,
        synth,
        schema,
        ratio=manifest.ratio,
        owners=package.owners,
        references=kept,
        settings=settings,
        told=rows_told(package.plans, manifest),
        note=note,
    )
    cut = _halves(config, real, package) if settings.ceiling or settings.privacy_rows or settings.targets else None
    halved = (cut.one, cut.other) if cut else None
    if cut and settings.ceiling:
        metrics["ceiling"] = _ceiling(config, cut, package)
        note("halves of the real tables compared")
    if cut and settings.privacy_rows:
        held = held_rows(spark, real, schema, package.plans, str(package.folder.parent), package.seed)
        metrics["privacy"] = evaluate_privacy(
            real, synth, schema, package.owners, kept, halved, settings, config.seed, note, held
        )
    if cut and settings.targets:
        found = [evaluate_target(cut.one, cut.other, synth, schema, t, config.seed) for t in settings.targets]
        metrics["targets"] = [f for f in found if f]
        note(f"{len(found)} targets learnt")
    metrics["workload"] = evaluate_workload(spark, queries, real, synth, halved, manifest.ratio)
    note(f"{len(queries)} queries answered")
    metrics["treated"] = treated_columns(package.plans, kept, metrics["tables"])
    return metrics


def _halves(config: RunConfig, real: Mapping[str, DataFrame], package: Package) -> Halves:
    """The real tables in two, cut once for a training."""
    folder = training_folder(config) / "halves"
    folder.mkdir(parents=True, exist_ok=True)
    return halves(real, package.schema, package.owners, str(folder), config.seed)


def _ceiling(config: RunConfig, cut: Halves, package: Package) -> dict[str, Any]:
    """What the scores of these real tables can reach, found once for a training."""
    settings = config.evaluate
    told = "-told-apart" if settings.detection_rows else ""
    name = f"ceiling-{settings.max_pair_columns}-{settings.sample_rows}{told}.json"
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
