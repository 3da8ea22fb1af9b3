"""The generate stage: a trained package -> rows per block of families -> Delta tables."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from spark_synth.config import RunConfig
from spark_synth.generation.run import Generation
from spark_synth.generation.seeds import wave_seed
from spark_synth.generation.waves import check_wave
from spark_synth.pipeline.delivery import Delivery
from spark_synth.pipeline.kept import kept_tables, with_given
from spark_synth.pipeline.package import Package
from spark_synth.pipeline.redraw import drawn_again, redraw
from spark_synth.pipeline.state import Manifest
from spark_synth.pipeline.waves import used_before
from spark_synth.progress import Progress
from spark_synth.sinks import read_delta, table_target


def generate_database(
    spark: SparkSession, config: RunConfig, package: Package, manifest: Manifest, run_id: str, progress: Progress
) -> dict[str, int]:
    """Generate and write every table that the manifest does not call written, in the wave at hand; rows by table."""
    identifier, wave = manifest.name, manifest.wave
    work = Path(config.output).absolute() / "_work" / identifier
    work = work / f"write{manifest.write}" if manifest.write > 1 else work
    kept = kept_tables(spark, config, package, work)
    run = Generation(
        spark=spark,
        plans=package.plans,
        models=str(package.folder),
        work=str(work / "rows"),
        kept=kept,
        ratio=config.generate.ratio,
        seed=wave_seed(config.seed, wave),
        segment_rows=package.segment_rows,
        partitions=config.generate.partitions,
        there=_reader(spark, config, identifier) if wave else None,
        used=used_before(manifest) if wave else {},
        **(drawn_again(manifest) if manifest.redraw else {}),
    )
    run = with_given(run, config, package, work)
    if wave:
        check_wave(run)
    delivery = Delivery(run, config, manifest, run_id, progress)
    if manifest.redraw:
        redraw(delivery)
    else:
        delivery.make(run.plans)
    shutil.rmtree(work, ignore_errors=True)
    return {t: e["rows"] for t, e in manifest.tables.items()}


def _reader(spark: SparkSession, config: RunConfig, identifier: str) -> Callable[[str], DataFrame]:
    """The rows that a table of the database has before this wave."""
    return cache(lambda t: read_delta(spark, table_target(config.output, identifier, t)))
