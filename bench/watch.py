"""A job in processes of its own, and the highest resident memory of each kind of them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]

POLL_SECONDS = 0.2
DRIVER, DRIVER_JVM, EXECUTOR_JVM, WORKER = "driver (Python)", "driver (JVM)", "executor (JVM)", "worker (Python)"
ROLES = (DRIVER, DRIVER_JVM, EXECUTOR_JVM, WORKER)


def watched(module: str, *arguments: str, cores: int | None = None) -> tuple[str, dict[str, float]]:
    """Run `python -m module`: the last line that it says, and the highest memory of its processes in MiB by role.

    cores: how many they are held to. SystemExit where it fails.
    """
    peaks = dict.fromkeys(ROLES, 0.0)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as job:
        psutil.Process(job.pid).cpu_affinity(sorted(os.sched_getaffinity(0))[:cores])  # which its children inherit
        while job.poll() is None:
            _raise(peaks, psutil.Process(job.pid))
            time.sleep(POLL_SECONDS)
        said = job.stdout.read() if job.stdout else ""
    if job.returncode:
        raise SystemExit(f"{module} {' '.join(arguments)} failed with exit code {job.returncode}")
    return said.strip().splitlines()[-1], peaks


def _raise(peaks: dict[str, float], job: psutil.Process) -> None:
    """Raise `peaks` to what the processes of a job hold now."""
    try:
        for one in [job, *job.children(recursive=True)]:
            java = "java" in one.name()
            executor = java and any("CoarseGrainedExecutorBackend" in c for c in one.cmdline())
            role = DRIVER if one == job else EXECUTOR_JVM if executor else DRIVER_JVM if java else WORKER
            peaks[role] = max(peaks[role], one.memory_info().rss / 2**20)
    except psutil.Error:  # a process that has just ended
        pass
