"""What bench/scale.py measures: trainings and generations, each in processes of its own on a cluster of small executors
(Spark's local-cluster), so that the memory of the driver and that of its workers can be told apart."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import reduce
from operator import and_
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import yaml

from bench.run import HERE, POLL_SECONDS, measure_feed
from spark_synth.config import load_config
from spark_synth.pipeline.package import load_package
from spark_synth.pipeline.train import training_folder
from spark_synth.schema.yaml_io import load_schema
from spark_synth.session import build_session
from spark_synth.sinks import read_delta

ONE_BY_ONE = 10**12  # rows from which executors train a table together: none
ROLES = ("driver (Python)", "driver (JVM)", "executor (JVM)", "worker (Python)")


def cluster(executors: int, events: Path) -> dict[str, Any]:
    """Settings of a cluster of that many executors with a core each and a driver with a small heap. events: the folder
    of Spark's record of what was done."""
    shutil.rmtree(events, ignore_errors=True)
    events.mkdir()
    conf = {"spark.executor.memory": "2g", "spark.driver.memory": "1g"}
    conf |= {"spark.eventLog.enabled": "true", "spark.eventLog.dir": events.as_uri()}
    return {"master": f"local-cluster[{executors},1,2048]", "conf": conf}


def variant(base: Path, name: str, **changes: Mapping[str, Any]) -> Path:
    """A configuration beside that of the database `base`, sections changed; its path."""
    settings = yaml.safe_load((base / "config.yaml").read_text())
    for section, values in changes.items():
        settings[section] = settings.get(section, {}) | dict(values)
    (base / f"{name}.yaml").write_text(yaml.safe_dump(settings))
    return base / f"{name}.yaml"


def trained(base: Path) -> dict[str, Any]:
    """A training of one epoch, for what is generated: run id, seconds and bytes that were shuffled."""
    where = cluster(2, base / "events-trained")
    config = variant(base, "trained", spark=where, train={"max_epochs": 1, "distributed_rows": ONE_BY_ONE})
    began = time.perf_counter()
    run_id, _ = _called(["train", str(config)])
    return {"run": run_id, "seconds": time.perf_counter() - began, "shuffled": _shuffled(base / "events-trained")}


def ranks(base: Path, count: int, cores: int) -> float:
    """Training rows per second of `children` by that many executors together, over four epochs; all processes are held
    to that many cores."""
    options = {"max_epochs": 4, "distributed_rows": 1000 if count > 1 else ONE_BY_ONE, "world_size": count}
    config = variant(base, f"ranks{count}", spark=cluster(2, base / f"events-ranks{count}"), train=options)
    shutil.rmtree(training_folder(load_config(config)), ignore_errors=True)
    _called(["train", str(config)], cores)
    (progress,) = training_folder(load_config(config)).rglob("children/progress.jsonl")
    entries = [json.loads(line) for line in progress.read_text().splitlines()]
    return float([e for e in entries if "rows_per_second" in e][-1]["rows_per_second"])


def feed(base: Path, steps: int) -> list[float]:
    """Training rows per second fed by Petastorm, and from memory."""
    config = load_config(base / "trained.yaml")
    found = measure_feed(config, load_package(training_folder(config) / "model"), steps)
    return [found.ours, found.plain]


def made(base: Path, run_id: str, table: str, name: str, executors: int = 2, **generate: Any) -> dict[str, Any]:  # noqa: ANN401
    """One generation: rows and seconds of `table` and of everything, seconds of writing the rows of `table` once more,
    highest resident memory by role, files of the table, bytes shuffled in all. What was made stays in the output."""
    settings = {"identifier": name, **generate}
    events = base / f"events-{name}"
    config = variant(base, name, spark=cluster(executors, events), generate=settings)
    said, peaks = _called(["generate", str(config), run_id, table])
    told, out = json.loads(said), Path(load_config(config).output) / name
    everything = {"rows": sum(t["rows"] for t in told["tables"].values()), "seconds": told["seconds"]}
    more = {"files": len(list((out / "tables" / table).glob("*.parquet"))), "shuffled": _shuffled(events)}
    return {**told["tables"][table], **more, "all": everything, "plain": told["plain"], "peaks": peaks}


def removed(base: Path, name: str) -> None:
    """Make room: the rows of a generation go."""
    shutil.rmtree(Path(load_config(base / f"{name}.yaml").output) / name, ignore_errors=True)


def orphans(base: Path, made_as: str) -> dict[str, int]:
    """Rows whose foreign key leads nowhere, by key, in what was generated under a name."""
    config = load_config(base / f"{made_as}.yaml")
    spark = build_session(config.spark)
    tables, lost = Path(config.output) / made_as / "tables", dict[str, int]()
    for name, table in load_schema(config.schema_path).tables.items():
        rows = read_delta(spark, str(tables / name))
        for key in table.foreign_keys:
            there = read_delta(spark, str(tables / key.parent))
            match = reduce(and_, (rows[c] == there[p] for c, p in zip(key.columns, key.parent_columns, strict=True)))
            lost[key.name] = rows.dropna(subset=list(key.columns)).join(there, match, "left_anti").count()
    spark.stop()
    return lost


def _shuffled(events: Path) -> int:
    """Bytes that all tasks wrote for others, by Spark's own record."""
    ends = (json.loads(x) for f in events.iterdir() for x in f.open() if "SparkListenerTaskEnd" in x)
    metrics = (e.get("Task Metrics") or {} for e in ends)
    return sum(m.get("Shuffle Write Metrics", {}).get("Shuffle Bytes Written", 0) for m in metrics)


def _called(arguments: list[str], cores: int | None = None) -> tuple[str, dict[str, float]]:
    """The last line that bench/scale_job.py says, and the highest resident memory of its processes in MiB by role.
    cores: how many they are held to."""
    peaks = dict.fromkeys(ROLES, 0.0)
    environment = os.environ | {"PYTHONPATH": str(HERE.parent)}
    with subprocess.Popen(
        [sys.executable, "-m", "bench.scale_job", *arguments], stdout=subprocess.PIPE, text=True, env=environment
    ) as job:
        psutil.Process(job.pid).cpu_affinity(sorted(os.sched_getaffinity(0))[:cores])  # which its children inherit
        while job.poll() is None:
            _watch(psutil.Process(job.pid), peaks)
            time.sleep(POLL_SECONDS)
        said = job.stdout.read() if job.stdout else ""
    if job.returncode:
        raise SystemExit(f"bench.scale_job {' '.join(arguments)} failed with exit code {job.returncode}")
    return said.strip().splitlines()[-1], peaks


def _watch(job: psutil.Process, peaks: dict[str, float]) -> None:
    """Raise `peaks` to what the processes of a job hold now."""
    try:
        for one in [job, *job.children(recursive=True)]:
            java = "java" in one.name()
            executor = java and any("CoarseGrainedExecutorBackend" in c for c in one.cmdline())
            role = ROLES[0] if one == job else ROLES[2] if executor else ROLES[1] if java else ROLES[3]
            peaks[role] = max(peaks[role], one.memory_info().rss / 2**20)
    except psutil.Error:  # a process that has just ended
        pass
