"""The generate stage: a trained package -> rows per block of families -> Delta tables."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from spark_synth.config import RunConfig
from spark_synth.encoding.at_once import each
from spark_synth.encoding.fit import Fitted
from spark_synth.errors import UserError
from spark_synth.generation.links import fill_links
from spark_synth.generation.run import Generation
from spark_synth.generation.tables import draw_table, generate_table, is_final
from spark_synth.pipeline.package import Package
from spark_synth.pipeline.state import Manifest
from spark_synth.pipeline.train import keep_table, training_folder
from spark_synth.progress import Progress
from spark_synth.schema.names import quote
from spark_synth.sinks import table_target, write_delta


def generate_database(
    spark: SparkSession, config: RunConfig, package: Package, manifest: Manifest, run_id: str, progress: Progress
) -> dict[str, int]:
    """Generate and write every table that the manifest does not call written; rows by table."""
    identifier = manifest.path.parent.name
    work = Path(config.output).absolute() / "_work" / identifier
    kept = _kept(spark, config, package, work)
    run = Generation(
        spark=spark,
        plans=package.plans,
        models=str(package.folder),
        work=str(work / "rows"),
        kept=kept,
        ratio=config.generate.ratio,
        seed=config.seed,
        segment_rows=package.segment_rows,
        partitions=config.generate.partitions,
    )
    progress.stage(f"generate {len(package.plans)} tables")
    for level in _levels(package):
        each([t for t in level if t not in kept], lambda t: _rows(run, config, t, manifest, run_id, progress))
    progress.stage("write Delta tables")
    each(list(package.plans), lambda t: _write(run, config, t, manifest, run_id, progress))
    shutil.rmtree(work, ignore_errors=True)
    return {t: manifest.data["tables"][t]["rows"] for t in package.plans}


def _kept(spark: SparkSession, config: RunConfig, package: Package, work: Path) -> dict[str, str]:
    """Folders of the real rows of reference and preserved tables."""
    preserved = [t for t in config.generate.preserve_tables if t not in package.references]
    for t in preserved:
        if t not in package.plans:
            raise UserError(f"generate.preserve_tables: {t!r} is not a table (tables: {', '.join(package.plans)})")
        for above in sorted(package.plans[t].sources - set(preserved) - package.references):
            raise UserError(f"generate.preserve_tables: {t} hangs on {above}, whose rows are new; name {above} too")
    kept = {t: str(package.folder / "kept" / t) for t in package.references}
    if preserved:
        fitted = Fitted(package.plans, str(training_folder(config)))
        if not Path(fitted.work, "frames").exists():
            raise UserError(
                "generate.preserve_tables: the training files of this configuration are gone; run train again"
            )
        for t in preserved:
            kept[t] = str(work / "kept" / t)
            keep_table(spark, fitted, t, kept[t])
    return kept


def _levels(package: Package) -> list[list[str]]:
    """Tables by their depth below owners and link targets, and below the rows of their sets."""
    depth: dict[str, int] = {}
    for t, plan in package.plans.items():
        above = [k.parent for k in plan.matched if not k.late] + ([plan.owner.parent] if plan.owner else [])
        above += [s.other for s in plan.sets]
        depth[t] = 1 + max((depth[p] for p in above), default=-1)
    return [[t for t in depth if depth[t] == d] for d in range(max(depth.values()) + 1)]


def _rows(run: Generation, config: RunConfig, table: str, manifest: Manifest, run_id: str, progress: Progress) -> None:
    """Draw a table, and deliver it at once where nothing is still to be done to its rows."""
    if manifest.state_of(table) == "written" or (
        manifest.state_of(table) == "rows" and Path(run.work, table, "_SUCCESS").exists()
    ):
        return
    began = time.monotonic()
    if is_final(run, table):
        drawn, count = draw_table(run, table)
        columns = [quote(c) for c in run.plans[table].columns]
        rows = _deliver(run, drawn.select(*columns), config, table, manifest, run_id, count)
    else:
        rows = generate_table(run, table)
        manifest.table(table, state="rows", rows=rows)
    seconds = time.monotonic() - began
    manifest.table(table, seconds=round(seconds, 1))
    progress.done(table, f"{rows:,} rows, {rows / seconds:,.0f} rows/s")


def _write(run: Generation, config: RunConfig, table: str, manifest: Manifest, run_id: str, progress: Progress) -> None:
    if manifest.state_of(table) == "written":
        return
    rows = _deliver(run, fill_links(run, table), config, table, manifest, run_id, _promised(run, table, manifest))
    progress.done(table, f"{rows:,} rows written")


def _deliver(
    run: Generation,
    rows: DataFrame,
    config: RunConfig,
    table: str,
    manifest: Manifest,
    run_id: str,
    expected: int | None,
) -> int:
    """Write the finished rows of a table, once, and say so in the manifest; their number."""
    identifier = manifest.path.parent.name
    target = table_target(config.output, identifier, table)
    count = write_delta(rows, target, f"spark-synth/{run_id}/{identifier}/{table}", 1, expected)
    manifest.table(table, state="written", rows=count, target=target, kept=table in run.kept)
    return count


def _promised(run: Generation, table: str, manifest: Manifest) -> int | None:
    """Rows that the degrees of the owners add up to, None where rows may go: kept tables, pairs that occur once."""
    return None if table in run.kept or run.plans[table].unique else int(manifest.data["tables"][table]["rows"])
