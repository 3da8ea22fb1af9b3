"""The commands: each opens what it needs, runs its stage and leaves the manifest behind."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from rich.console import Console

from spark_synth.config import RunConfig
from spark_synth.errors import UserError
from spark_synth.evaluation.targets import check_targets
from spark_synth.pipeline.discover import approve_schema, discover_schema, review_proposal
from spark_synth.pipeline.evaluate import evaluate_tables
from spark_synth.pipeline.failures import plainly
from spark_synth.pipeline.families import check_families, with_families
from spark_synth.pipeline.gates import hold, read_metrics
from spark_synth.pipeline.generate import generate_database
from spark_synth.pipeline.joins import joins_of
from spark_synth.pipeline.outlook import lookup_tables, outlook, places, tell_costs, tell_owners
from spark_synth.pipeline.package import Package
from spark_synth.pipeline.redraw import begin_redraw, end_redraw
from spark_synth.pipeline.source import local_source, packages_of, take_snapshot
from spark_synth.pipeline.state import Manifest, check_writable, facts, now, open_manifest, training_fingerprint
from spark_synth.pipeline.summary import tell_summary
from spark_synth.pipeline.train import train_database, training_folder
from spark_synth.pipeline.trained import check_training, latest_training, open_tracker, package_of, registered
from spark_synth.pipeline.waves import begin_wave, end_wave, refuse_begun
from spark_synth.progress import Progress
from spark_synth.schema import Schema, check_schema, load_schema
from spark_synth.schema.cycles import name_cuts
from spark_synth.schema.graph import explain_owners
from spark_synth.schema.overlap import mark_shared
from spark_synth.session import SQLITE_PACKAGE, build_session
from spark_synth.sources import Database, is_sqlite, open_database
from spark_synth.tracking import Tracker

CONF = {"spark.sql.objectHashAggregate.sortBased.fallbackThreshold": "4096"}
PLAN_WIDTH = 120  # characters of a plan that goes into a file or a pipe


@dataclass
class Workshop:
    """What the stages of one command share: session, source, tracker; each opened when first asked for."""

    config: RunConfig
    approve: bool = False
    reads: bool = False  # whether it reads the source, which a server then has to be copied for first
    progress: Progress = field(default_factory=Progress)
    _spark: SparkSession | None = None
    _database: Database | None = None
    _tracker: Tracker | None = None

    def __post_init__(self) -> None:
        self.config = local_source(self.config)
        if self.reads and self.config.source.url:
            self.progress.stage("copy the source")
            self.config = take_snapshot(self.spark, self.config, self.progress.note)

    @property
    def spark(self) -> SparkSession:
        """The Spark session."""
        if self._spark is None:
            source = self.config.source
            extra = [SQLITE_PACKAGE] if is_sqlite(source.format, source.path) else packages_of(source)
            self._spark = build_session(self.config.spark, extra)
            for key, value in CONF.items():
                self._spark.conf.set(key, value)
        return self._spark

    @property
    def tracker(self) -> Tracker:
        """The MLflow experiment."""
        if self._tracker is None:
            self._tracker = open_tracker(self.config, self.progress)
        return self._tracker

    def schema(self) -> Schema:
        """The checked schema; UserError while a discovered one is not approved."""
        schema = load_schema(self.config.schema_path)
        if not schema.approved and not self.approve:
            raise UserError(
                f"schema {self.config.schema_path} is not approved: review it and set approved: true, or use --approve"
            )
        for table, settings in self.config.tables.items():
            if table not in schema.tables:
                raise UserError(f"option tables.{table}: no such table in the schema ({', '.join(schema.tables)})")
            if settings.owner is not None:
                _name_owner(schema, table, settings.owner)
        check_schema(schema)
        name_cuts(schema, self.config.break_edges)
        mark_shared(schema)
        return schema

    def database(self) -> Database:
        """The real tables, read, checked and sampled."""
        if self._database is None:
            schema = self.schema()
            self.progress.stage("read the source")
            self._database = open_database(self.spark, self.config.source, schema, self.config.seed)
            check_families(self.config, self._database.schema, self._database.rows)
        return self._database

    def real(self, package: Package) -> Mapping[str, DataFrame]:
        """The real tables as training saw them, without parsing the source again if the training files are there."""
        rows = training_folder(self.config) / "source"
        if not all((rows / t / "_SUCCESS").exists() for t in package.plans):
            return self.database().tables
        return {t: self.spark.read.parquet(str(rows / t)) for t in package.plans}

    def package(self, manifest: Manifest) -> Package:
        """The training that a database is, or is to be, generated from."""
        return package_of(self.config, self.tracker, manifest.data["run_id"])


@plainly
def discover(config: RunConfig, out: Path | None, review: bool = False) -> Path:
    """Propose a schema from the tables alone, for review; the path of its file. review: ask for what is doubtful, of a
    proposal that is there already, too."""
    if review and (found := review_proposal(out or Path(config.schema_path))):
        return found
    shop = Workshop(config, reads=True)
    shop.progress.stage("discover the schema")
    path = discover_schema(shop.spark, shop.config, out, shop.progress.note)
    return (review_proposal(path) if review else None) or path


@plainly
def approve(config: RunConfig, schema: Path) -> Path:
    """Hold a reviewed schema file against the data and mark it approved; its path."""
    shop = Workshop(config, reads=True)
    shop.progress.stage("hold the schema against the source")
    return approve_schema(shop.spark, shop.config, schema, shop.progress.note)


@plainly
def plan(config: RunConfig, approve: bool = False) -> None:
    """Tell what a run would do and cost, on stdout; nothing is written."""
    shop = Workshop(config, approve, reads=True)
    config, database = shop.config, shop.database()
    schema, rows, where = database.schema, database.rows, places(shop.spark, config)
    width = None if sys.stdout.isatty() else PLAN_WIDTH
    out = Progress(quiet=False, console=Console(highlight=False, width=width))
    choices = explain_owners(schema, rows)
    owners = {t: c.key for t, c in choices.items()}
    joins = joins_of(config, schema, owners)
    tell_owners(schema, choices, joins, out)
    config = with_families(config, owners, joins, rows, out)
    for table in lookup_tables(schema, rows):
        out.note(f"{table}: a look-up table? With `reference: true` its real rows are kept and linked to")
    tell_costs(outlook(config, schema, rows, owners, joins, where), config, where.slots, out)


@plainly
def train(config: RunConfig, approve: bool = False) -> str:
    """Fit encoders and models; the MLflow run id."""
    if not config.output_is_catalog:
        check_writable(Path(config.output).absolute())
    shop = Workshop(config, approve, reads=True)
    config = shop.config
    shop.schema()
    run_id, _ = train_database(shop.spark, config, shop.database(), shop.tracker, shop.progress)
    return run_id


@plainly
def generate(
    config: RunConfig,
    run_id: str | None = None,
    append: bool = False,
    table: str | None = None,
    where: str | None = None,
    model: str | None = None,
) -> Path:
    """Generate a database from a trained run, or from a registered model; or another wave of a finished one; or once
    more one of its tables, or the rows of it that a condition tells, and all that hangs on these. The output folder."""
    if model and (run_id or append or table):
        raise UserError("--model names what a new database is generated from: leave --run, --append and --table away")
    if append and table:
        raise UserError("--append adds rows to all tables and --table draws one again: use one of them")
    if where and not table:
        raise UserError("--where tells which rows are drawn again, but not of which table: pass --table NAME")
    if append:
        return _change(config, begin_wave(config, run_id), run_id)
    return _change(config, begin_redraw(config, run_id, table, where), run_id) if table else _new(config, run_id, model)


def _new(config: RunConfig, run_id: str | None, model: str | None) -> Path:
    shop = Workshop(config, approve=True)
    config = shop.config
    version = registered(config, shop.tracker, model) if model else None
    run_id = version.run_id if version else run_id
    manifest = _manifest(config, {"run": run_id} if run_id else {})
    if "run_id" not in manifest.data:
        manifest.update(run_id=run_id or latest_training(config, shop.tracker))
    if version:
        manifest.update(model=version.exact_uri)
        shop.progress.note(f"model {version.exact_uri}, trained by run {run_id}")
    package = shop.package(manifest)
    _generate(shop, package, manifest)
    return manifest.path.parent


def _change(config: RunConfig, manifest: Manifest, run_id: str | None) -> Path:
    """Make the wave, or the redraw, that the manifest begins."""
    before = manifest.data["asked"]
    asked = {"preserve_tables": before["preserve"], "given": before.get("given") or {}}
    seed = config.seed
    if manifest.redraw:  # of the tables that stay; the manifest tells that of the others
        asked, seed = {**asked, "ratio": before["ratio"]}, before["seed"]
    changed = {"seed": seed, "generate": config.generate.model_copy(update=asked)}
    shop = Workshop(config.model_copy(update=changed), approve=True)
    if run_id is None:
        check_training(shop.config, shop.tracker, manifest)
    shop.progress.note(f"{manifest.part} of {manifest.name}")
    _generate(shop, shop.package(manifest), manifest)
    return manifest.path.parent


@plainly
def evaluate(config: RunConfig) -> Path:
    """Evaluate a generated database; its folder."""
    if config.generate.identifier is None:
        raise UserError("evaluate needs the name of a generated database: pass --identifier NAME")
    folder = Path(config.output).absolute() / config.generate.identifier
    if not (folder / "manifest.json").exists():
        raise UserError(f"no generated database in {folder}: check output and --identifier")
    shop = Workshop(config, approve=True)
    manifest = Manifest.read(folder)
    refuse_begun(manifest)
    package = shop.package(manifest)
    check_targets(package.schema, config.evaluate.targets)
    _evaluate(shop, package, manifest)
    return folder


@plainly
def run(config: RunConfig) -> Path:
    """Everything, continued where an earlier attempt with the same identifier stopped; the output folder."""
    shop = Workshop(config, reads=True)
    config = shop.config
    check_targets(shop.schema(), config.evaluate.targets)
    manifest = _manifest(config, {"fingerprint": training_fingerprint(config)})
    if manifest.data["state"] == "evaluated":
        shop.progress.note(f"{manifest.path.parent} is complete: nothing to do")
        if config.gates:
            hold(config.gates, read_metrics(manifest.path.parent), manifest.path.parent)
        return manifest.path.parent
    if "run_id" not in manifest.data:
        shop.database()  # whatever is wrong with the source is told before anything is written
        manifest.update(state="started")
        with _timed(manifest, "train"):
            run_id, package = train_database(shop.spark, config, shop.database(), shop.tracker, shop.progress)
        manifest.update(run_id=run_id)
    else:
        package = shop.package(manifest)
    if manifest.data["state"] != "generated":
        _generate(shop, package, manifest)
    _evaluate(shop, package, manifest)
    return manifest.path.parent


def _manifest(config: RunConfig, more: Mapping[str, Any]) -> Manifest:
    identifier = config.generate.identifier or f"synthetics_{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    size = config.generate
    asked = {"seed": config.seed, "ratio": size.ratio, "preserve": size.preserve_tables, **more}
    asked["given"] = size.given or None
    manifest = open_manifest(Path(config.output).absolute() / identifier, asked)
    refuse_begun(manifest)
    return manifest


def _generate(shop: Workshop, package: Package, manifest: Manifest) -> None:
    config, folder = shop.config, manifest.path.parent
    tags = {"stage": "generate", "identifier": folder.name, "train_run_id": manifest.data["run_id"]}
    tags |= {"model": manifest.data["model"]} if "model" in manifest.data else {}
    run = shop.tracker.run(f"generate-{folder.name}", tags, system=True)
    with run as tracked, _timed(manifest, manifest.part):
        asked = {"identifier": folder.name, "ratio": config.generate.ratio}
        tracked.log_params({**asked, **facts(config, package.schema)})
        began = time.monotonic()
        rows = generate_database(shop.spark, config, package, manifest, manifest.data["run_id"], shop.progress)
        tracked.log_metrics({f"{t}/rows": float(n) for t, n in rows.items()})
        tracked.log_metrics({"rows_per_second": sum(rows.values()) / (time.monotonic() - began)})
        for table in rows:
            entry = manifest.tables[table]
            with shop.tracker.nested(tracked, f"table:{table}", {"table": table}) as nested:
                nested.log_params({k: entry[k] for k in ("target", "kept")})
                nested.log_metrics({k: float(entry[k]) for k in ("rows", "seconds") if k in entry})
    if manifest.redraw:
        end_redraw(manifest)
    elif manifest.wave:
        end_wave(manifest)
    else:
        manifest.update(state="generated")


def _evaluate(shop: Workshop, package: Package, manifest: Manifest) -> None:
    with _timed(manifest, "evaluate"):
        real = shop.real(package)
        metrics = evaluate_tables(shop.spark, shop.config, real, package, manifest, shop.tracker, shop.progress)
    tell_summary(shop.progress, shop.config, metrics, manifest)
    hold(shop.config.gates, metrics, manifest.path.parent)


@contextmanager
def _timed(manifest: Manifest, stage: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    durations = {**manifest.data.get("durations", {}), stage: round(time.monotonic() - began, 1)}
    manifest.update(durations=durations, ended=now())


def _name_owner(schema: Schema, table: str, owner: str) -> None:
    """Mark the foreign key that `tables.<table>.owner` names, by its name or its column."""
    keys = schema.tables[table].foreign_keys
    chosen = [fk for fk in keys if owner in (fk.name, "+".join(fk.columns))]
    if not chosen:
        raise UserError(
            f"option tables.{table}.owner: no foreign key {owner!r} (keys: {', '.join(k.name for k in keys)})"
        )
    for fk in keys:
        fk.owner = fk is chosen[0]
