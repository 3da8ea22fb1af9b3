"""Executors that are killed, by process id, while they encode, train and generate: the run ends as if nothing was."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.cluster.conftest import Site
from tests.cluster.orders import OPTIONS
from tests.cluster.processes import Driver, executors, wait_for, writer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def kill_writer(site: Site, driver: Driver, *places: str) -> None:
    """Kill the next executor that has a file below one of the folders of these names open."""
    pid = wait_for(lambda: writer(site.master, driver, lambda path: any(f"/{p}/" in path for p in places)), driver)
    os.kill(pid, signal.SIGKILL)


def lost_tasks(driver: Driver) -> int:
    """Tasks that ended with their executor, by Spark's own record."""
    (log,) = (driver.folder / "events").iterdir()
    ended = [json.loads(line) for line in log.read_text().splitlines() if "SparkListenerTaskEnd" in line]
    return sum(e["Task End Reason"]["Reason"] == "ExecutorLostFailure" for e in ended)


def assert_ended_well(driver: Driver, lost: int) -> None:
    """The fault was one, and the command did not even mention it."""
    assert driver.end() == 0, driver.err
    assert lost_tasks(driver) >= lost
    assert "Traceback" not in driver.err and "Exception" not in driver.err


def test_an_executor_killed_during_encoding(site: Site, tmp_path: Path) -> None:
    """While it has a file of encoded rows or of packs of families open."""
    output = tmp_path / "out"
    driver = site.start("run", "encoding", tmp_path / "driver", output)
    kill_writer(site, driver, "encoded", "packs")
    assert_ended_well(driver, lost=1)
    site.assert_sound("encoding", driver, output=output)


def test_an_executor_killed_during_training(site: Site, tmp_path: Path) -> None:
    """While each of the two trains a small table that has a checkpoint: it goes on there, on another executor."""
    output = tmp_path / "out"
    driver = site.start("run", "training", tmp_path / "driver", output)
    wait_for(lambda: len(in_training(output)) == 2, driver)
    os.kill(executors(site.master, driver)[0], signal.SIGKILL)
    assert_ended_well(driver, lost=1)
    site.assert_sound("training", driver, output=output)
    for progress in output.glob("_work/train-*/fit/*/progress.jsonl"):
        epochs = [json.loads(line)["epoch"] for line in progress.read_text().splitlines()]
        assert sorted(set(epochs)) == list(range(1, max(epochs) + 1)) and len(epochs) <= max(epochs) + 1
        assert max(epochs) <= int(str(OPTIONS["train.max_epochs"]))


def in_training(output: Path) -> list[Path]:
    """Folders of the tables that have a checkpoint and no result."""
    found = []
    for fit in output.glob("_work/train-*/fit/*"):
        table, links = fit.name.removesuffix(" (links)"), fit.name.endswith(" (links)")
        model = fit.parents[1] / "model" / table / ("structure" if links else "")
        if any(fit.glob("checkpoint-*.json")) and not (model / "result.json").exists():
            found.append(fit)
    return found


def test_executors_killed_during_generation(site: Site, tmp_path: Path) -> None:
    """One while it draws rows, and one while it writes a table, which leaves a data file that no commit names."""
    driver = site.start("generate", "generation", tmp_path / "driver")
    kill_writer(site, driver, "rows")
    kill_writer(site, driver, "tables")
    assert_ended_well(driver, lost=2)
    site.assert_sound("generation", driver)
