"""What bench/scale.py measures: trainings and generations, each in processes of its own on a cluster of small executors
(Spark's local-cluster), so that the memory of the driver and that of its workers can be told apart."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from bench.run import measure_feed
from bench.watch import watched
from spark_synth.config import load_config
from spark_synth.pipeline.package import load_package
from spark_synth.pipeline.train import training_folder
from spark_synth.schema.yaml_io import load_schema
from spark_synth.session import build_session
from spark_synth.sinks import read_delta
from spark_synth.sources.integrity import orphan_keys

ONE_BY_ONE = 10**12  # rows from which executors train a table together: none
JOB = "bench.scale_job"
HEAP = 1024  # MiB of the driver's JVM and of each executor's


def cluster(executors: int, events: Path) -> dict[str, Any]:
    """Settings of a cluster of that many executors with a core each; events: the folder of Spark's record of what was
    done."""
    shutil.rmtree(events, ignore_errors=True)
    events.mkdir()
    conf = {"spark.executor.memory": f"{HEAP}m", "spark.driver.memory": f"{HEAP}m"}
    conf |= {"spark.eventLog.enabled": "true", "spark.eventLog.dir": events.as_uri()}
    return {"master": f"local-cluster[{executors},1,{HEAP}]", "conf": conf}


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
    run_id, _ = watched(JOB, "train", str(config))
    return {"run": run_id, "seconds": time.perf_counter() - began, "shuffled": _shuffled(base / "events-trained")}


def ranks(base: Path, count: int, cores: int) -> float:
    """Training rows per second of `children` by that many executors together, over four epochs; all processes are held
    to that many cores."""
    options = {"max_epochs": 4, "distributed_rows": 1000 if count > 1 else ONE_BY_ONE, "world_size": count}
    config = variant(base, f"ranks{count}", spark=cluster(2, base / f"events-ranks{count}"), train=options)
    shutil.rmtree(training_folder(load_config(config)), ignore_errors=True)
    watched(JOB, "train", str(config), cores=cores)
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
    said, peaks = watched(JOB, "generate", str(config), run_id, table)
    told, out = json.loads(said), Path(load_config(config).output) / name
    everything = {"rows": sum(t["rows"] for t in told["tables"].values()), "seconds": told["seconds"]}
    more = {"files": len(list((out / "tables" / table).glob("*.parquet"))), "shuffled": _shuffled(events)}
    return {**told["tables"][table], **more, "all": everything, "plain": told["plain"], "peaks": peaks}


def evaluated(base: Path, name: str) -> dict[str, Any]:
    """The evaluation of what `made` has made under a name: seconds, highest resident memory by role."""
    said, peaks = watched(JOB, "evaluate", str(base / f"{name}.yaml"))
    return {"seconds": float(said), "peaks": peaks}


def removed(base: Path, name: str) -> None:
    """Make room: the rows of a generation go."""
    shutil.rmtree(Path(load_config(base / f"{name}.yaml").output) / name, ignore_errors=True)


def orphans(base: Path, made_as: str) -> dict[str, int]:
    """Rows whose foreign key leads nowhere, by key, in what was generated under a name."""
    config = load_config(base / f"{made_as}.yaml")
    spark = build_session(config.spark)
    schema, folder, lost = load_schema(config.schema_path), Path(config.output) / made_as / "tables", dict[str, int]()
    made = {name: read_delta(spark, str(folder / name)) for name in schema.tables}
    for name, table in schema.tables.items():
        lost |= {key.name: orphan_keys(made, name, key).count() for key in table.foreign_keys}
    spark.stop()
    return lost


def _shuffled(events: Path) -> int:
    """Bytes that all tasks wrote for others, by Spark's own record."""
    ends = (json.loads(x) for f in events.iterdir() for x in f.open() if "SparkListenerTaskEnd" in x)
    metrics = (e.get("Task Metrics") or {} for e in ends)
    return sum(m.get("Shuffle Write Metrics", {}).get("Shuffle Bytes Written", 0) for m in metrics)
