"""Matching links at size: time, and the highest memory of a task, for more edges and for a hub; writes links.md.

Every edge has an owner and the code of its target, but no target yet; every target has a degree and a code. What is
measured is `link_rows`, written out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_synth.config import SparkSettings
from spark_synth.encoding.codecs import NumericCodec
from spark_synth.encoding.edge_plan import LinkPlan
from spark_synth.encoding.join_plan import CodePlan
from spark_synth.encoding.plan import DegreePlan, TablePlan
from spark_synth.generation.links import link_rows
from spark_synth.generation.run import Generation
from spark_synth.session import build_session

HERE = Path(__file__).resolve().parent
EDGES, OWNERS, TARGETS = 10_000_000, 1_000_000, 100_000
CLUSTERS = 128
HUB = 0.1  # share of the edges that one target has
TIME_TARGET, HUB_TARGET = 2.3, 2.0


@dataclass(frozen=True)
class Case:
    """A graph to be linked."""

    name: str
    edges: int
    owners: int
    targets: int
    hub: bool = False


@dataclass(frozen=True)
class Found:
    """Seconds, highest execution memory of a task in MiB, edges, and edges of the target that has the most."""

    seconds: float
    task: float
    edges: int
    most: int


def main() -> None:
    """Measure the three graphs and write links.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a quick look: a hundredth of the rows, nothing written")
    scale = 100 if parser.parse_args().small else 1
    cases = [
        Case("once", EDGES // scale, OWNERS // scale, TARGETS // scale),
        Case("twice", 2 * EDGES // scale, 2 * OWNERS // scale, 2 * TARGETS // scale),
        Case("hub", EDGES // scale, OWNERS // scale, TARGETS // scale, hub=True),
    ]
    with tempfile.TemporaryDirectory(prefix="spark-synth-bench-") as folder:
        logs = Path(folder, "events")
        logs.mkdir()
        conf = {"spark.eventLog.enabled": "true", "spark.eventLog.dir": logs.as_uri(), "spark.driver.memory": "6g"}
        spark = build_session(SparkSettings(conf=conf), log_file=Path(folder, "spark.log"))
        runs = {c.name: prepare(spark, c, f"{folder}/{c.name}") for c in cases}
        _fill(spark, runs["once"], f"{folder}/warm", "warm")
        found = {c.name: _fill(spark, runs[c.name], f"{folder}/{c.name}/linked", c.name) for c in cases}
        spark.stop()
        peaks = task_peaks(logs)
    measured = [Found(s, peaks.get(name, 0.0), n, most) for name, (s, n, most) in found.items()]
    text = report(cases, measured)
    sys.stdout.write(text)
    if scale == 1:
        (HERE / "links.md").write_text(text)


def prepare(spark: SparkSession, case: Case, folder: str) -> Generation:
    """Rows of both tables as generation leaves them before links are filled, and the plans that describe them."""
    uniform = "((pmod(xxhash64(id, 5), 1000003) + 0.5) / 1000003)"
    rest = case.edges * (1 - HUB if case.hub else 1)
    degree = f"cast(-ln({uniform}) * {rest / case.targets} + 0.5 as bigint)"
    if case.hub:
        degree = f"if(id = 0, cast({case.edges * HUB} as bigint), {degree})"
    code = f"cast(pmod(hash(id, 7), {CLUSTERS}) as smallint)"
    targets = spark.range(case.targets).selectExpr(
        "id as __idx", "id + 1000 as id", f"{degree} as __deg_0", f"array({code}) as __context"
    )
    targets.write.parquet(f"{folder}/rows/targets")
    edges = spark.range(case.edges).selectExpr(
        "id as __idx", "id as id", f"cast(id % {case.owners} as bigint) as owner", f"{code} as code"
    )
    edges.write.parquet(f"{folder}/rows/edges")
    counted = spark.read.parquet(f"{folder}/rows/targets").groupBy("__deg_0").count().collect()
    histogram = sorted((int(r[0]), int(r[1])) for r in counted)
    total = sum(d * n for d, n in histogram)
    degrees = [DegreePlan("edges", "edges.target", NumericCodec(nullable=False), histogram, total, False)]
    link = LinkPlan("edges.target", ("target",), "targets", ("id",), reference=False, nullable=False, clusters=CLUSTERS)
    cells = CodePlan(CLUSTERS, [[0.0]] * CLUSTERS, at=0)
    plans = {
        "targets": TablePlan("targets", {"id": "bigint"}, case.targets, ["id"], degrees=degrees, code=cells),
        "edges": TablePlan(
            "edges", {"id": "bigint", "owner": "bigint", "target": "bigint"}, case.edges, ["id"], links=[link]
        ),
    }
    return Generation(spark, plans, "", f"{folder}/rows", {}, 1.0, 0, 512, None)


def _fill(spark: SparkSession, run: Generation, out: str, name: str) -> tuple[float, int, int]:
    """(seconds, edges with a target, edges of the commonest target)."""
    spark.sparkContext.setJobGroup(name, name)
    began = time.perf_counter()
    (link,) = run.plans["edges"].links
    linked = link_rows(run, run.plans["edges"], run.rows("edges"), link, F.col("code").cast("int"), {})
    linked.select("id", "owner", F.col("__p0").alias("target")).write.parquet(out)
    seconds = time.perf_counter() - began
    spark.sparkContext.setJobGroup("check", "check")
    row = (
        spark.read.parquet(out)
        .groupBy("target")
        .count()
        .where("target is not null")
        .agg(F.sum("count").alias("edges"), F.max("count").alias("most"))
        .head()
    )
    assert row is not None
    return seconds, row["edges"], row["most"]


def task_peaks(logs: Path) -> dict[str, float]:
    """Highest execution memory of any task in MiB, by job group, from Spark's event log."""
    group: dict[int, str] = {}
    peaks: dict[str, float] = {}
    for line in (x for f in sorted(logs.rglob("*")) if f.is_file() for x in f.read_text().splitlines()):
        event = json.loads(line)
        if event["Event"] == "SparkListenerJobStart":
            name = event.get("Properties", {}).get("spark.jobGroup.id", "")
            group |= dict.fromkeys(event["Stage IDs"], name)
        if event["Event"] == "SparkListenerTaskEnd" and event.get("Task Metrics"):
            name = group.get(event["Stage ID"], "")
            used = event["Task Metrics"]["Peak Execution Memory"] / 2**20
            peaks[name] = max(peaks.get(name, 0.0), used)
    return peaks


def report(cases: list[Case], found: list[Found]) -> str:
    """links.md."""
    once, twice, hub = found
    time_ratio, hub_ratio = twice.seconds / once.seconds, hub.task / once.task
    lines = [
        f"| {c.edges:,} | {c.owners:,} | {c.targets:,} | {f.most:,} | {f.seconds:.0f} s | {f.edges / f.seconds:,.0f} | "
        f"{f.task:,.0f} MiB |"
        for c, f in zip(cases, found, strict=True)
    ]
    return f"""# Links at size

Written by `make bench` (`bench/links.py`): foreign keys filled by `generation.links` and written as Parquet, in local
Spark on {os.cpu_count()} cores with {psutil.virtual_memory().total / 2**30:.0f} GiB of memory (6 for Spark).

| edges | owners | targets | edges of the largest target | time | edges/s | memory of a task at most |
|---|---|---|---|---|---|---|
{chr(10).join(lines)}

| | ratio | target | |
|---|---|---|---|
| time of twice the edges | {time_ratio:.2f} | at most {TIME_TARGET} | {_met(time_ratio <= TIME_TARGET)} |
| memory of a task with a hub of {HUB:.0%} of the edges | {hub_ratio:.2f} | at most {HUB_TARGET} | \
{_met(hub_ratio <= HUB_TARGET)} |
"""


def _met(good: bool) -> str:
    return "met" if good else "missed"


if __name__ == "__main__":
    main()
