"""What the evaluation of more rows costs; writes evaluation.md beside this file.

A real database of a million rows, trained for one epoch, and databases generated from it: each is evaluated in
processes of its own on a cluster of small executors. A call with the same --keep folder goes on after the last figure.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from bench.run import CHILDREN, HERE, make_config
from bench.scale_runs import evaluated, made, removed, trained
from bench.watch import ROLES
from spark_synth.config import SparkSettings
from spark_synth.session import build_session

PARENTS = 1_000_000 // CHILDREN
RATIOS = (1, 10)


def main() -> None:
    """Measure and write evaluation.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a quick look: a hundredth of the rows, nothing written")
    parser.add_argument("--keep", type=Path, help="a folder for all that is made, which stays")
    asked = parser.parse_args()
    temporary = tempfile.TemporaryDirectory(prefix="spark-synth-bench-")
    with nullcontext(asked.keep) if asked.keep else temporary as folder:
        found = measured(Path(folder).absolute(), PARENTS // (100 if asked.small else 1))
    text = report(found)
    sys.stdout.write(text)
    if not asked.small:
        (HERE / "evaluation.md").write_text(text)


def measured(folder: Path, parents: int) -> list[dict[str, Any]]:
    """By ratio: rows of all tables, and what their generation and their evaluation took."""
    base = folder / "base"
    if not (base / "config.yaml").exists():
        spark = build_session(SparkSettings(), log_file=folder / "spark.log")
        make_config(spark, base, parents)
        spark.stop()
    run = _kept(folder / "trained.json", partial(trained, base))["run"]
    return [_kept(folder / f"ratio{n}.json", partial(_evaluated, base, run, n)) for n in RATIOS]


def _evaluated(base: Path, run: str, ratio: int) -> dict[str, Any]:
    name = f"ratio{ratio}"
    drawn = made(base, run, "children", name, ratio=float(ratio))["all"]
    found = evaluated(base, name)
    removed(base, name)
    return {"rows": drawn["rows"], "generated": drawn["seconds"], **found}


def _kept(file: Path, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    if not file.exists():
        file.write_text(json.dumps(work()))
    told: dict[str, Any] = json.loads(file.read_text())
    return told


def report(found: list[dict[str, Any]]) -> str:
    """evaluation.md."""
    return f"""# Evaluation of more rows

Written by `make bench-evaluation` (`bench/evaluation.py`): two tables, real ones of {found[0]["rows"]:,} rows in all,
evaluated with the defaults (ceiling, classifiers, privacy, queries) on a cluster of two executors with one core each
(Spark's `local-cluster`), a heap of 1 GiB for the driver and 2 GiB for each executor. The halves of the real rows, and
what they say of each other, are found with the first database and kept.

Machine: {os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB of memory, {platform.system()}.

| synthetic rows | generated in, s | evaluated in, s | rows/s | against generation |
|---|---|---|---|---|
{chr(10).join(_time(one) for one in found)}

Highest resident memory of any process while it is evaluated, in MiB:

| synthetic rows | {" | ".join(ROLES)} |
|---|{"---|" * len(ROLES)}
{chr(10).join(_memory(one) for one in found)}
"""


def _time(one: Mapping[str, Any]) -> str:
    rows, drawn, seconds = one["rows"], one["generated"], one["seconds"]
    return f"| {rows:,} | {drawn:,.0f} | {seconds:,.0f} | {rows / seconds:,.0f} | {seconds / drawn:.1f} times |"


def _memory(one: Mapping[str, Any]) -> str:
    return f"| {one['rows']:,} | " + " | ".join(f"{one['peaks'][role]:,.0f}" for role in ROLES) + " |"


if __name__ == "__main__":
    main()
