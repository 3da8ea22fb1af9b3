"""A cluster of Spark's own standalone kind on loopback: a master and workers, each a process, with GPU addresses that a
script tells."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyspark.find_spark_home import _find_spark_home

from spark_synth.session import find_java
from tests.places import REPOSITORY

WAIT = 90.0  # seconds for a process to say that it is there
MASTER = "org.apache.spark.deploy.master.Master"
WORKER = "org.apache.spark.deploy.worker.Worker"


@contextmanager
def cluster(folder: Path, gpus: list[list[str]], cores: int) -> Iterator[str]:
    """The URL of a master with one worker for every list of GPU addresses, each of `cores` cores.

    `folder`/worker0/scratch and so on are where Spark and Python on that worker put temporary files.
    """
    started: list[subprocess.Popen[bytes]] = []
    try:
        started.append(_started(folder / "master.log", [MASTER, "-h", "127.0.0.1", "-p", "0", "--webui-port", "0"]))
        url = _said(folder / "master.log", r"Starting Spark master at (spark://\S+)")
        for n, addresses in enumerate(gpus):
            started.append(_worker(folder / f"worker{n}", url, addresses, cores))
        for n in range(len(gpus)):
            _said(folder / f"worker{n}.log", r"(Successfully registered) with master")
        yield url
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait(30)


def _worker(folder: Path, url: str, gpus: list[str], cores: int) -> subprocess.Popen[bytes]:
    scratch = folder / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)  # a test may have mounted a small disk there
    places = {"SPARK_LOCAL_DIRS": str(scratch), "TMPDIR": str(scratch)}
    told = [WORKER, "-h", "127.0.0.1", "-c", str(cores), "-m", "4g", "-d", str(folder / "logs"), "--webui-port", "0"]
    if gpus:
        told += ["--properties-file", str(_gpu_settings(folder, gpus))]
    return _started(folder.with_suffix(".log"), [*told, url], places)


def _gpu_settings(folder: Path, gpus: list[str]) -> Path:
    """The file that says which GPUs a worker has."""
    script = folder / "gpus.sh"
    addresses = ", ".join(f'"{a}"' for a in gpus)
    script.write_text(f'#!/bin/sh\necho \'{{"name": "gpu", "addresses": [{addresses}]}}\'\n')
    script.chmod(0o755)
    settings = folder / "worker.conf"
    settings.write_text(
        f"spark.worker.resource.gpu.amount {len(gpus)}\nspark.worker.resource.gpu.discoveryScript {script}\n"
    )
    return settings


def _started(log: Path, told: list[str], places: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    home = find_java()
    environment = dict(os.environ) | ({"JAVA_HOME": str(home)} if home else {})
    environment |= {"SPARK_HOME": _find_spark_home(), "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    environment |= {"SPARK_DAEMON_MEMORY": "512m", **(places or {})}
    with log.open("wb") as sink:
        command = [f"{_find_spark_home()}/bin/spark-class", *told]
        return subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT, env=environment)


def _said(log: Path, pattern: str) -> str:
    """What a process told of itself; TimeoutError with its last lines if it does not."""
    until = time.monotonic() + WAIT
    while time.monotonic() < until:
        found = re.search(pattern, log.read_text(errors="replace")) if log.exists() else None
        if found:
            return found.group(1)
        time.sleep(0.2)
    raise TimeoutError(f"{log}: {log.read_text(errors='replace')[-2000:]}")
