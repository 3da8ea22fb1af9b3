"""A driver that is killed, a commit that fails, a disk that is full: the same command again ends with the tables of an
undisturbed run."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster.conftest import Site
from tests.cluster.machines import cluster
from tests.cluster.processes import Driver, children, wait_for, writer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
FIRST = "00000000000000000000.json"  # the commit that makes a table


def told(driver: Driver) -> str:
    """The one line that a command which failed told."""
    assert driver.end() == 1
    assert "Traceback" not in driver.err
    (line,) = [x for x in driver.err.splitlines() if x.startswith("error: ")]
    assert driver.err.splitlines()[-1] == line
    return line


def writing(site: Site, driver: Driver, *places: str) -> None:
    """Wait until an executor has a file below one of the folders of these names open."""
    wait_for(lambda: writer(site.master, driver, lambda path: any(f"/{p}/" in path for p in places)), driver)


def test_a_driver_killed_during_generation(site: Site, tmp_path: Path) -> None:
    """Its process while rows are drawn, and then, in the next attempt, its Java process while a table is written."""
    first = site.start("run", "driver", tmp_path / "first")
    writing(site, first, "rows")
    os.kill(first.process.pid, signal.SIGKILL)
    assert first.end() == -signal.SIGKILL
    second = site.start("run", "driver", tmp_path / "second")
    writing(site, second, "tables")
    (java,) = children(second.process.pid)
    os.kill(java, signal.SIGKILL)
    assert "the Java process of the Spark driver has ended" in told(second)
    third = site.start("run", "driver", tmp_path / "third")
    assert third.end() == 0, third.err
    assert third.out.splitlines()[-1] == str(site.output / "driver")
    site.assert_sound("driver", first, third)  # Java has no time to remove the files of a process that is killed


def test_a_commit_that_fails_half_way(site: Site, tmp_path: Path) -> None:
    """Rows are being written when something comes to lie where the commit that names them has to be."""
    driver = site.start("generate", "commit", tmp_path / "first")
    writing(site, driver, "tables/orders")
    table = site.output / "commit" / "tables" / "orders"
    (table / "_delta_log" / FIRST).mkdir(parents=True)
    assert "error: table orders: " in told(driver)
    (table / "_delta_log" / FIRST).rmdir()
    again = site.start("generate", "commit", tmp_path / "again")
    assert again.end() == 0, again.err
    site.assert_sound("commit", driver, again)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk."""
    folder = tmp_path / "machines" / "worker0" / "scratch"
    folder.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("only root may mount a disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> None:
    """Take all the room that there is."""
    with (disk / "filling").open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue


@pytest.mark.parametrize("full", [1, 2])
def test_a_full_disk_of_the_workers(site: Site, disk: Path, tmp_path: Path, full: int) -> None:
    """The disk for shuffles of one worker, or of both, is full while rows are drawn: with one, Spark may find that the
    other can do the work."""
    machines = disk.parents[1]
    other = machines / "worker1" / "scratch"
    other.parent.mkdir()
    if full == 2:
        other.symlink_to(disk)
    with cluster(machines, [[], []], cores=1) as master:
        small = replace(site, master=master, machines=machines)
        driver = small.start("generate", f"disk{full}", tmp_path / "first")
        writing(small, driver, "rows")
        while driver.process.poll() is None:
            fill(disk)
            time.sleep(0.05)
        (disk / "filling").unlink()
        drivers = [driver]
        if full == 2 or driver.end():
            line = told(driver)
            assert "error: table " in line and "no space left on a disk on 127.0.0.1 (executor " in line
            drivers.append(small.start("generate", f"disk{full}", tmp_path / "again"))
            assert drivers[-1].end() == 0, drivers[-1].err
        small.assert_sound(f"disk{full}", *drivers)
