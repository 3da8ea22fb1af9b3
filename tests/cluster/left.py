"""What must be so after a fault: the tables of an undisturbed run, each written once, and nothing left behind."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from deltalake import DeltaTable

from tests.cluster.orders import KEYS
from tests.cluster.processes import Driver

WRITERS = ("_temporary", ".spark-staging", ".tmp")  # parts of the names under which Spark, Delta and we write
CLEANING = 20.0  # seconds in which a worker removes the files of an application that has ended
LOGS = ("spark-synth-", "torchinductor_")  # the session's log, and an empty folder that importing torch makes


def assert_as_undisturbed(folder: Path, whole: Path) -> None:
    """The database in `folder` is the one in `whole`, row for row."""
    for table, key in KEYS.items():
        found, expected = (_rows(f / "tables" / table, key) for f in (folder, whole))
        pd.testing.assert_frame_equal(found, expected)


def assert_written_once(folder: Path) -> None:
    """Every table has one commit, and no data file that it does not name; the manifest tells its number of rows."""
    entries = json.loads((folder / "manifest.json").read_text())["tables"]
    for table in KEYS:
        path = folder / "tables" / table
        delta = DeltaTable(path)
        assert [h["operation"] for h in delta.history()] == ["WRITE"], table
        assert {p.name for p in path.rglob("*.parquet")} == {Path(uri).name for uri in delta.file_uris()}, table
        checksums = {p.name[1:-4] for p in path.glob(".*.crc")}
        assert checksums <= {p.name for p in path.iterdir()}, table
        assert entries[table]["state"] == "written"
        assert entries[table]["rows"] == delta.to_pyarrow_table().num_rows


def assert_nothing_left(output: Path, identifier: str, machines: Path, *drivers: Driver) -> None:
    """No half-written file, none of the rows on the way to the tables, no checkpoint without its tensors, and no
    temporary file of Spark or Python on any machine."""
    work = output / "_work"
    below = [p for folder in (output / identifier, *work.glob("train-*")) for p in folder.rglob("*")]
    assert not [p for p in below if any(w in p.name for w in WRITERS)]
    assert not (work / identifier).exists()
    for fit in work.glob("train-*/fit/*"):
        steps = {p.stem for p in fit.glob("checkpoint-*.json")}
        assert {p.stem for p in fit.glob("checkpoint-*.safetensors")} == steps and len(steps) <= 2
    places = [d.folder / "scratch" for d in drivers] + list(machines.glob("worker*/scratch"))
    until = time.monotonic() + CLEANING
    while left := [p for place in places for p in _temporary(place)]:
        assert time.monotonic() < until, left
        time.sleep(0.2)


def _rows(path: Path, key: str) -> pd.DataFrame:
    return DeltaTable(path).to_pandas().sort_values(key, ignore_index=True)


def _temporary(place: Path) -> Iterator[Path]:
    """Files below a folder for temporary ones, without the logs that are meant to stay."""
    for folder, _, files in os.walk(place):  # which passes over folders that Spark is just removing
        yield from (Path(folder, f) for f in files if not f.startswith(LOGS))
