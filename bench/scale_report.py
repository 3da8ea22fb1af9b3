"""scale.md, from what bench/scale.py has measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import psutil  # type: ignore[import-untyped]
import torch

from bench.scale_runs import HEAP
from bench.watch import ROLES

FLAT = 0.15
RANKS_TARGET, WRITE_TARGET, FEED_TARGET, HUB_TARGET = 1.7, 3.0, 0.9, 1.5
Told = Mapping[str, Any]


def report(told: Told) -> str:
    """scale.md. told: figures by name, as bench/scale.py keeps them."""
    sizes = _numbered(told, "rows")
    of = list(sizes.values())
    return f"""# Scale

Written by `make bench-scale` (`bench/scale.py`). Each row is a run of its own processes on a cluster of executors with
one core each (Spark's `local-cluster`), a heap of {HEAP / 1024:g} GiB for the driver and for each executor.

Machine: {os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB of memory, {platform.system()};
Python {platform.python_version()}, torch {torch.__version__}, pyspark {version("pyspark")},
delta-spark {version("delta-spark")}, petastorm {version("petastorm")}.

| what | ratio | target | |
|---|---|---|---|
{_ratios(told, sizes)}

Why targets are missed, with a profile: `docs/decisions.md`, "Drawing is not within three times".

## More rows

Rows of `children` (seven columns), drawn and written to Delta; beside it, Spark writing the same rows to Delta again.

| rows | seconds | rows/s | rows/s beyond the size before | written alone, rows/s | times slower | whole job, rows/s |
|---|---|---|---|---|---|---|
{chr(10).join(_size(one, before) for one, before in zip(of, [None, *of], strict=False))}

Bytes that all steps of a generation shuffle, and data files of `children`:

| rows of both tables | shuffled, bytes a row | files |
|---|---|---|
{chr(10).join(_volume(one) for one in sizes.values())}

The training of a million rows of `children` (`even`: read, profile, encode, one epoch) took \
{told["run even"]["seconds"]:.0f} s
and shuffled {told["run even"]["shuffled"] / told["even"]["all"]["rows"]:,.0f} bytes a row.

Highest resident memory of any process, in MiB:

| rows | {" | ".join(ROLES)} |
|---|{"---|" * len(ROLES)}
{chr(10).join(_memory(one) for one in sizes.values())}

## More executors

| partitions, executors | rows of `children` | seconds | rows/s |
|---|---|---|---|
{chr(10).join(_parted(n, one) for n, one in _numbered(told, "parts").items())}

| training of `children` | rows/s |
|---|---|
| one executor; it, Spark and the reader of its batches on one core | {told["ranks 1 on 1"]:,.0f} |
| one executor, the others on a second core | {told["ranks 1 on 2"]:,.0f} |
| two executors on two cores | {told["ranks 2 on 2"]:,.0f} |

## One huge family

| `children` | rows | seconds | rows/s |
|---|---|---|---|
| families of 1 to 39 | {told["even"]["rows"]:,} | {told["even"]["seconds"]:.0f} | {_rate(told["even"]):,.0f} |
| one with half of all rows | {told["hub"]["rows"]:,} | {told["hub"]["seconds"]:.0f} | {_rate(told["hub"]):,.0f} |

## The demo's database

{_demo(told["demo"])}
Rows whose foreign key leads nowhere: {", ".join(f"{k} {n}" for k, n in told["orphans"].items())}.
"""


def _numbered(told: Told, name: str) -> dict[int, Any]:
    found = {int(k.removeprefix(name)): v for k, v in told.items() if k.removeprefix(name).isdigit()}
    return dict(sorted(found.items()))


def _ratios(told: Told, sizes: Mapping[int, Any]) -> str:
    rates = [_rate(one) for one in sizes.values()]
    plain = [one["rows"] / one["plain"] for one in sizes.values()]
    peaks = {r: [one["peaks"][r] for one in sizes.values()] for r in ROLES}
    together, fed = told["ranks 2 on 2"], told["feed"][0] / told["feed"][1]
    cores, ranks = (together / told[f"ranks 1 on {n}"] for n in (1, 2))
    largest, hub = sizes[max(sizes)], told["hub"]["seconds"] / told["even"]["seconds"]
    slower = _slower(largest)
    lines = [
        (
            "training, two executors on two cores against one on one",
            cores,
            f"at least {RANKS_TARGET}",
            cores >= RANKS_TARGET,
        ),
        (
            "training, two executors against one, both on two cores",
            ranks,
            f"at least {RANKS_TARGET}",
            ranks >= RANKS_TARGET,
        ),
        ("training fed by Petastorm against memory", fed, f"at least {FEED_TARGET}", fed >= FEED_TARGET),
        (
            f"generation of {largest['rows']:,} rows against their Delta write",
            slower,
            f"at most {WRITE_TARGET}",
            slower <= WRITE_TARGET,
        ),
        (
            "time with half of all rows in one family, against even families",
            hub,
            f"at most {HUB_TARGET}",
            hub <= HUB_TARGET,
        ),
        (
            f"rows/s, fastest size against slowest (Spark's write alone: {max(plain) / min(plain):.0f})",
            max(rates) / min(rates),
            f"at most {1 + FLAT}",
            max(rates) <= (1 + FLAT) * min(rates),
        ),
    ]
    for role, of in peaks.items():
        growth = of[-1] / of[0]
        lines.append(
            (f"memory of {role} at a hundred times the rows", growth, f"at most {1 + FLAT}", growth <= 1 + FLAT)
        )
    return "\n".join(f"| {a} | {b:.2f} | {c} | {'met' if d else 'missed'} |" for a, b, c, d in lines)


def _size(one: Any, before: Any) -> str:  # noqa: ANN401
    whole = one["all"]["rows"] / one["all"]["seconds"]
    more = (one["rows"] - before["rows"]) / (one["seconds"] - before["seconds"]) if before else None
    cells = [f"{one['rows']:,}", f"{one['seconds']:.1f}", f"{_rate(one):,.0f}", f"{more:,.0f}" if more else "-"]
    cells += [f"{one['rows'] / one['plain']:,.0f}", f"{_slower(one):.1f}", f"{whole:,.0f}"]
    return f"| {' | '.join(cells)} |"


def _parted(parts: int, one: Any) -> str:  # noqa: ANN401
    return f"| {parts} | {one['rows']:,} | {one['seconds']:.0f} | {_rate(one):,.0f} |"


def _volume(one: Any) -> str:  # noqa: ANN401
    return f"| {one['all']['rows']:,} | {one['shuffled'] / one['all']['rows']:,.0f} | {one['files']} |"


def _memory(one: Any) -> str:  # noqa: ANN401
    peaks = [f"{one['peaks'][r]:,.0f}" for r in ROLES]
    return f"| {one['rows']:,} | {' | '.join(peaks)} |"


def _rate(one: Any) -> float:  # noqa: ANN401
    return float(one["rows"] / one["seconds"])


def _slower(one: Any) -> float:  # noqa: ANN401
    return float(one["seconds"] / one["plain"])


def _demo(one: Any) -> str:  # noqa: ANN401
    everything = one["all"]
    return f"""`flights` (19 columns, four foreign keys): {one["rows"]:,} rows at {_rate(one):,.0f} rows/s; all
{everything["rows"]:,} rows of the database in {everything["seconds"] / 60:.1f} minutes. Spark writes those of `flights`
alone at {one["rows"] / one["plain"]:,.0f} rows/s. Highest resident memory in MiB:
{", ".join(f"{one['peaks'][r]:,.0f} {r}" for r in ROLES)}."""
