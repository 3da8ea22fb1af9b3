"""Real MLflow servers and a real PostgreSQL, each a process of its own on the loopback interface."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PATIENCE = 240  # seconds in which a process must be up
POSTGRES, MYSQL = "postgres", "mysql"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class MlflowServer:
    """`mlflow server` over a backend store; artifacts lie in `folder`."""

    def __init__(self, store: str, folder: Path) -> None:
        self.port, self._store, self._folder = free_port(), store, folder
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = ["--backend-store-uri", self._store, "--artifacts-destination", str(self._folder / "artifacts")]
        options += ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        log = (self._folder / "server.log").open("ab")
        env = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *options],
            stdout=log,
            stderr=log,
            env=env,
            start_new_session=True,
        )
        _wait_until(self._answers, f"mlflow server (log: {self._folder / 'server.log'})")

    def kill(self) -> None:
        """End it at once, with its workers."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def mlflow_server(store: str, folder: Path) -> Iterator[MlflowServer]:
    """A server that is up, ended with the block."""
    server = MlflowServer(store, folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextmanager
def postgres() -> Iterator[str]:
    """The address of a database in a cluster of its own; the test is skipped where no server can be had."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    tools = found[-1].parent if found else Path(shutil.which("initdb") or "").parent
    if not (tools / "initdb").exists():
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    user = POSTGRES if os.geteuid() == 0 else None  # the server does not run as root
    folder, port = Path(tempfile.mkdtemp(prefix="postgres-")), free_port()  # pytest's folders are closed to that user
    if user:
        shutil.chown(folder, user, user)
    data = str(folder / "data")
    control = (str(tools / "pg_ctl"), "-D", data, "-w", "-t", str(PATIENCE))
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"

    def run(*command: str) -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, user=user, cwd="/")

    run(str(tools / "initdb"), "-D", data, "-U", POSTGRES, "--auth", "trust", "--no-sync")
    run(*control, "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"postgresql+psycopg://{POSTGRES}@127.0.0.1:{port}/{POSTGRES}"
    finally:
        run(*control, "-m", "immediate", "stop")
        shutil.rmtree(folder)


@contextmanager
def mariadb() -> Iterator[str]:
    """The address of a database on a server of its own; the test is skipped where no server can be had."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    server, install = shutil.which("mariadbd", path=path), shutil.which("mariadb-install-db", path=path)
    if not server or not install:
        pytest.skip("MariaDB is not installed: apt-get install mariadb-server")
    folder, port = Path(tempfile.mkdtemp(prefix="mariadb-")), free_port()
    data = [f"--datadir={folder / 'data'}"] + ([f"--user={MYSQL}"] if os.geteuid() == 0 else [])
    if os.geteuid() == 0:
        shutil.chown(folder, MYSQL, MYSQL)
    log = (folder / "log").open("wb")
    made = [install, "--no-defaults", *data, "--auth-root-authentication-method=normal"]
    subprocess.run(made, check=True, stdout=log, stderr=log)
    options = [f"--port={port}", "--bind-address=127.0.0.1", "--skip-name-resolve"]
    options += [f"--socket={folder / 's.sock'}", f"--init-file={folder / 'i.sql'}"]
    (folder / "i.sql").write_text(
        f"CREATE DATABASE {MYSQL}_test;\nCREATE USER tester@'127.0.0.1' IDENTIFIED BY 'geheim77';\n"
        "GRANT ALL ON *.* TO tester@'127.0.0.1';\n"
    )
    process = subprocess.Popen([server, "--no-defaults", *data, *options], stdout=log, stderr=log)
    try:
        _wait_until(lambda: _listens(port), "mariadbd")
        yield f"mysql+pymysql://tester:geheim77@127.0.0.1:{port}/{MYSQL}_test"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


def _listens(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def _wait_until(condition: object, what: str) -> None:
    assert callable(condition)
    last = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > last:
            raise TimeoutError(f"{what} is not up after {PATIENCE} s")
        time.sleep(0.3)
