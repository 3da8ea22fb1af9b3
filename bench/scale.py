"""What more executors, more rows and one huge family cost; writes scale.md beside this file.

Ratios are between runs of one call, on one machine. Each figure is kept in a file of its own as soon as it is there; a
call with the same --keep folder goes on after the last one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from bench.run import CHILDREN, HERE, make_config
from bench.scale_report import report
from bench.scale_runs import feed, made, orphans, ranks, removed, trained
from spark_synth.config import SparkSettings
from spark_synth.session import build_session

PARENTS = 8_000
SIZES = (100_000, 1_000_000, 10_000_000)  # rows generated, of both tables
PARTS = (1, 2, 4)
PARTED = 4_000_000  # rows that each of them makes, so that fixed costs are a small part
HALF = 500_000  # children of one parent, and of all others together
FLIGHTS, REAL_FLIGHTS = 10_000_000, 336_776
ROOT = HERE.parent


def main() -> None:
    """Measure everything and write scale.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a quick look: a hundredth of the rows, nothing written")
    parser.add_argument("--keep", type=Path, help="a folder for all that is made, which stays")
    parser.add_argument("--flights", type=int, default=FLIGHTS, help="flights of the demo's database, ten million")
    asked = parser.parse_args()
    temporary = tempfile.TemporaryDirectory(prefix="spark-synth-bench-")
    with nullcontext(asked.keep) if asked.keep else temporary as folder:
        scale = 100 if asked.small else 1
        told = measured(Path(folder).absolute(), scale, asked.flights // scale)
    text = report(told)
    sys.stdout.write(text)
    if not asked.small:
        (HERE / "scale.md").write_text(text)


def measured(folder: Path, scale: int, flights: int) -> dict[str, Any]:
    """All figures by name. scale: a hundred for a quick look. flights: rows of the demo's largest table."""
    base, even, hub, demo = (folder / n for n in ("base", "even", "hub", "demo"))
    told: dict[str, Any] = {}

    def step(name: str, work: Callable[[], Any]) -> None:
        kept = folder / f"{name}.json"
        if not kept.exists():
            sys.stderr.write(f"{time.strftime('%H:%M:%S')} {name}\n")
            kept.write_text(json.dumps(work()))
        told[name] = json.loads(kept.read_text())

    step("databases", partial(databases, base, even, hub, demo, scale))
    for count, cores in ((1, 1), (1, 2), (2, 2)):
        step(f"ranks {count} on {cores}", partial(ranks, base, count, cores))
    for one in (base, even, hub, demo):
        step(f"run {one.name}", partial(trained, one))
    step("feed", partial(feed, base, 4 if scale > 1 else 24))
    rows_per_ratio, run_id = (CHILDREN + 1) * PARENTS, told["run base"]["run"]
    for n in SIZES:
        name = f"rows{n}"
        step(name, partial(made, base, run_id, "children", name, ratio=n / rows_per_ratio))
        removed(base, name)
    for n in PARTS:
        name, ratio = f"parts{n}", PARTED / rows_per_ratio
        step(name, partial(made, base, run_id, "children", name, executors=n, ratio=ratio, partitions=n))
        removed(base, name)
    for one in (even, hub):
        step(one.name, partial(made, one, told[f"run {one.name}"]["run"], "children", "made"))
    step("demo", partial(made, demo, told["run demo"]["run"], "flights", "made", ratio=flights / REAL_FLIGHTS))
    step("orphans", partial(orphans, demo, "made"))
    return told


def databases(base: Path, even: Path, hub: Path, demo: Path, scale: int) -> None:
    """Make them: parents with few children each, the same with a million children, with half of these below one parent,
    and the tables of the demo."""
    spark = build_session(SparkSettings(), log_file=base.parent / "spark.log")
    make_config(spark, base, PARENTS // scale)
    make_config(spark, even, 2 * HALF // CHILDREN // scale)
    make_config(spark, hub, HALF // CHILDREN // scale, HALF // scale)
    spark.stop()
    subprocess.run([sys.executable, str(ROOT / "jobs" / "demo_data.py"), str(demo / "source")], check=True)
    settings = yaml.safe_load((ROOT / "conf" / "demo.yaml").read_text())
    settings |= {"source": {"path": str(demo / "source")}, "schema": str(ROOT / "conf" / "demo.schema.yaml")}
    (demo / "config.yaml").write_text(yaml.safe_dump(settings | {"output": str(demo / "out")}))


if __name__ == "__main__":
    main()
