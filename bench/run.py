"""Three ratios, each measured in one run on one machine; writes README.md beside this file.

Feed: training fed by Petastorm against the same loop over the same batches in memory. Generation: rows drawn and
written to Delta against Spark writing the same rows to Delta. Memory: the driver at eight times the rows against once.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]
import torch
import yaml
from pyspark.sql import SparkSession

from bench.watch import DRIVER, DRIVER_JVM, WORKER, watched
from spark_synth.config import RunConfig, SparkSettings, load_config
from spark_synth.feed import PackFeed, PackShape
from spark_synth.generation.links import fill_links
from spark_synth.generation.run import Generation
from spark_synth.generation.tables import draw_table, generate_table
from spark_synth.models.autoregressive import Autoregressive
from spark_synth.models.batch import FamilyBatch
from spark_synth.models.spec import GeneratorSpec
from spark_synth.pipeline.package import Package, load_package
from spark_synth.pipeline.train import training_folder
from spark_synth.schema.names import quote
from spark_synth.session import build_session
from spark_synth.sinks import read_delta, write_delta

HERE = Path(__file__).resolve().parent
TIMES = 8
GENERATED = 4  # times the rows of the larger database: start-up costs are not what is measured
CHILDREN = 20  # mean rows per parent
ROUNDS = 4  # of feed against memory
FEED_TARGET, WRITE_TARGET, MEMORY_TARGET = 0.8, 6.0, 0.10
SCHEMA = """
tables:
  parents:
    primary_key: [id]
    columns: {id: key, since: datetime, grade: categorical, score: numeric}
  children:
    primary_key: [id]
    columns: {id: key, parent: key, day: datetime, kind: categorical, amount: numeric, count: numeric, open: boolean}
    foreign_keys:
      - {columns: [parent], parent: parents}
"""


@dataclass(frozen=True)
class Speeds:
    """Rows per second of what is measured and of what it is held against."""

    ours: float
    plain: float


def main() -> None:
    """Measure everything and write the README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a quick look: few rows, and nothing is written")
    small = parser.parse_args().small
    parents = 100 if small else 1000
    with tempfile.TemporaryDirectory(prefix="spark-synth-bench-") as folder:
        spark = build_session(SparkSettings(), log_file=Path(folder, "spark.log"))
        configs = [make_config(spark, Path(folder, f"x{times}"), parents * times) for times in (1, TIMES)]
        peaks = [watched("bench.job", str(path))[1] for path in configs]
        config = load_config(configs[-1])
        package = load_package(training_folder(config) / "model")
        feed = measure_feed(config, package, steps=4 if small else 24)
        generation = measure_generation(spark, config, package, Path(folder, "generation"))
        spark.stop()
    text = report(feed, generation, peaks, parents)
    sys.stdout.write(text)
    if not small:
        (HERE / "README.md").write_text(text)


def make_config(spark: SparkSession, folder: Path, parents: int, hub: int = 0) -> Path:
    """Write a database of `parents` parents and CHILDREN times as many children; the path of its configuration.

    hub: children of the first parent, all of them within the time that others take for 40; 0 for as many as any other.
    """
    source = folder / "source"
    uniform = "(pmod(xxhash64(id, {0}), 1000003) / 1000003)"
    row = spark.range(parents).selectExpr(
        "cast(id as int) as id",
        f"date_add(date'2018-01-01', cast({uniform.format(1)} * 900 as int)) as since",
        f"substring('abcd', 1 + cast({uniform.format(2)} * {uniform.format(3)} * 4 as int), 1) as grade",
        f"round(-30 * ln(1 - {uniform.format(4)}), 2) as score",
    )
    row.coalesce(1).write.parquet(str(source / "parents.parquet"))
    count = f"1 + cast({uniform.format(5)} * {2 * CHILDREN - 1} as int)"
    count = f"if(id = 0 and {hub} > 0, {hub}, {count})"
    family = row.selectExpr("id as parent", "since", f"{count} as size")
    family = family.selectExpr("*", "explode(sequence(1, size)) as n")
    child = family.selectExpr("1000000 * cast(parent as bigint) + n as id", "*").selectExpr(
        "id",
        "parent",
        f"date_add(since, cast(120 * n / greatest(40, size) as int) + cast({uniform.format(6)} * 3 as int)) as day",
        f"substring('xyz', 1 + cast({uniform.format(7)} * 3 as int), 1) as kind",
        f"round(-10 * ln(1 - {uniform.format(8)}) + parent % 17, 2) as amount",
        f"cast({uniform.format(9)} * 12 as int) as count",
        f"{uniform.format(10)} < 0.3 as open",
    )
    child.coalesce(1).write.parquet(str(source / "children.parquet"))
    (folder / "schema.yaml").write_text(SCHEMA)
    config = {
        "source": {"path": str(source)},
        "schema": str(folder / "schema.yaml"),
        "output": str(folder / "out"),
        "spark": {"master": "local[*]"},
        "model": {"hidden": 128},  # wider for a million rows than for a tenth, which is not what is compared
        "train": {"max_epochs": 1},
        "generate": {"identifier": "bench"},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder / "config.yaml"


def measure_feed(config: RunConfig, package: Package, steps: int) -> Speeds:
    """Training rows per second of `children`: fed by Petastorm, and from a list of the same batches."""
    plan, work = package.plans["children"], training_folder(config)
    spec = GeneratorSpec.from_json(json.loads((package.folder / "children" / "spec.json").read_text()))
    torch.manual_seed(0)
    model = Autoregressive(spec)

    def fed() -> PackFeed:
        path = f"{work}/packs/children/split=train"
        return PackFeed(path, PackShape(len(plan.cards), len(plan.context_cards)), config.model.batch_rows, config.seed)

    with fed() as feed:
        batches = list(islice(iter(feed), steps))
    _train(model, batches[:2])  # warm up
    seconds = np.zeros(2)
    for _ in range(ROUNDS):  # in turn, as a machine's speed changes within a minute
        in_memory = _train(model, batches)
        with fed() as feed:
            stream = iter(feed)
            _train(model, [next(stream)])  # the reader starts once a fit
            seconds += 1 / _train(model, islice(stream, steps)), 1 / in_memory
    ours, plain = ROUNDS / seconds
    return Speeds(float(ours), float(plain))


def _train(model: Autoregressive, batches: Iterable[FamilyBatch]) -> float:
    """Rows per second of a plain training loop."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    rows, began = 0, time.perf_counter()
    for batch in batches:
        loss = model.loss(batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        rows += batch.rows
    return rows / (time.perf_counter() - began)


def measure_generation(spark: SparkSession, config: RunConfig, package: Package, folder: Path) -> Speeds:
    """Rows per second of `children`: drawn, assembled and written to Delta, and written alone."""
    run = Generation(
        spark=spark,
        plans=package.plans,
        models=str(package.folder),
        work=str(folder / "rows"),
        kept={},
        ratio=float(GENERATED),
        seed=config.seed,
        segment_rows=package.segment_rows,
        partitions=None,
    )
    generate_table(run, "parents")
    write_delta(fill_links(run, "parents"), str(folder / "parents"), "bench/parents", 1)
    ours, plain = 0.0, 0.0
    for attempt in range(2):  # the first one warms up
        target, copy = str(folder / f"children{attempt}"), str(folder / f"copy{attempt}")
        began = time.perf_counter()
        drawn, _ = draw_table(run, "children")  # written once, as nothing is made from them
        columns = map(quote, package.plans["children"].columns)
        rows = write_delta(drawn.select(*columns), target, f"bench/{attempt}", 1)
        ours = rows / (time.perf_counter() - began)
        same = read_delta(spark, target)
        began = time.perf_counter()
        write_delta(same, copy, f"bench/copy{attempt}", 1)
        plain = rows / (time.perf_counter() - began)
    return Speeds(ours, plain)


def report(feed: Speeds, generation: Speeds, peaks: list[dict[str, float]], parents: int) -> str:
    """The README."""
    once, many = peaks
    rows = [f"{parents * CHILDREN * times:,} rows" for times in (1, TIMES)]
    share = feed.ours / feed.plain
    slower = generation.plain / generation.ours
    growth = many[DRIVER] / once[DRIVER] - 1
    others = [[f"{peaks[role]:,.0f} MiB" for peaks in (once, many)] for role in (WORKER, DRIVER_JVM)]
    ratios = [
        (
            "training fed by Petastorm",
            f"{feed.ours:,.0f} rows/s",
            f"{feed.plain:,.0f} rows/s from memory",
            f"{share:.2f}",
            f"at least {FEED_TARGET}",
            share >= FEED_TARGET,
        ),
        (
            f"generation of {parents * CHILDREN * TIMES * GENERATED:,} rows, Delta write included",
            f"{generation.ours:,.0f} rows/s",
            f"{generation.plain:,.0f} rows/s, Delta write alone",
            f"{slower:.1f} times slower",
            f"at most {WRITE_TARGET:.0f}",
            slower <= WRITE_TARGET,
        ),
        (
            "peak memory of the driver",
            f"{many[DRIVER]:,.0f} MiB at {rows[1]}",
            f"{once[DRIVER]:,.0f} MiB at {rows[0]}",
            f"{growth:+.0%}",
            f"at most {MEMORY_TARGET:+.0%}",
            growth <= MEMORY_TARGET,
        ),
    ]
    table = "\n".join(f"| {' | '.join(cells)} | {'met' if good else 'missed'} |" for *cells, good in ratios)
    return f"""# Benchmarks

Written by `make bench`: each ratio compares two measurements of one run on one machine. The database is made by the
script: {parents:,} parents with {CHILDREN} children each on average, and {TIMES} times as many of both.

Machine: {os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB of memory, {platform.system()};
Python {platform.python_version()}, torch {torch.__version__}, pyspark {version("pyspark")},
delta-spark {version("delta-spark")}, petastorm {version("petastorm")}.

| what | measured | against | ratio | target | |
|---|---|---|---|---|---|
{table}

Peak resident memory of the other processes (train and generate, local Spark):

| | {rows[0]} | {rows[1]} |
|---|---|---|
| largest Python worker | {" | ".join(others[0])} |
| JVM (driver and executor in one; takes what its heap allows) | {" | ".join(others[1])} |
"""


if __name__ == "__main__":
    main()
