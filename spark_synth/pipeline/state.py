"""The manifest of a synthetic database: what was asked, what is done. It is how a stopped run finds its place."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from spark_synth.config import RunConfig
from spark_synth.encoding.plan import PLAN_FORMAT
from spark_synth.errors import UserError
from spark_synth.schema import Schema
from spark_synth.whole import write_json

PACKAGES = ("spark-synth", "pyspark", "delta-spark", "petastorm", "pyarrow", "torch", "mlflow")


class Manifest:
    """`manifest.json` of one identifier; every change is written at once, whole or not at all, from any thread.

    wave: the one at hand; the tables of the first are those of the database. redraw: whether tables are drawn again.
    """

    def __init__(self, path: Path, data: dict[str, Any], wave: int = 0, redraw: bool = False) -> None:
        self.path, self.data, self.wave, self.redraw, self._lock = path, data, wave, redraw, threading.Lock()

    @staticmethod
    def read(folder: Path) -> Manifest:
        """The manifest of a finished or unfinished database."""
        path = folder / "manifest.json"
        return Manifest(path, json.loads(path.read_text()))

    @property
    def tables(self) -> dict[str, Any]:
        """What is known of each table in the wave, or the redraw, at hand."""
        part = self.data["redraws"][-1] if self.redraw else self.data["waves"][self.wave] if self.wave else self.data
        tables: dict[str, Any] = part["tables"]
        return tables

    @property
    def name(self) -> str:
        """The identifier of the database."""
        return self.path.parent.name

    @property
    def part(self) -> str:
        """What is at hand: the first generation, a wave or a redraw."""
        if self.redraw:
            return f"redraw of {self.data['redraws'][-1]['table']}"
        return f"wave {self.wave}" if self.wave else "generate"

    @property
    def write(self) -> int:
        """The number of what is written now: from 1, and one more with every wave and every redraw."""
        return 1 + self.wave + len(self.data.get("redraws", []))

    @property
    def ratio(self) -> float:
        """Size of the database relative to the real one, all waves together."""
        return float(sum(w["ratio"] for w in self.data.get("waves") or [self.data["asked"]]))

    def update(self, **changes: Any) -> None:  # noqa: ANN401 - any JSON-able value
        """Set top-level entries."""
        with self._lock:
            self.data |= changes
            self._write()

    def table(self, name: str, **changes: Any) -> None:  # noqa: ANN401
        """Set entries of one table (`state`: planned | rows | written)."""
        with self._lock:
            self.tables.setdefault(name, {}).update(changes)
            self._write()

    def state_of(self, name: str) -> str:
        """How far a table is."""
        return str(self.tables.get(name, {}).get("state", "planned"))

    def _write(self) -> None:
        write_json(self.path, self.data, indent=1)


def open_manifest(folder: Path, asked: Mapping[str, Any]) -> Manifest:
    """The manifest of `folder`: a new one, or the one of a run that asked for the same and is to be continued.

    Nothing is written before the first update, so that a run which is refused leaves no trace. An attempt that wrote
    no table yet may be asked for anew in another way.
    """
    path = folder / "manifest.json"
    new = {"asked": dict(asked), "versions": versions(), "tables": {}, "created": now(), "state": "started"}
    if not path.exists():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(
                f"output {folder} exists and was not made by spark-synth: choose another generate.identifier"
            )
        check_writable(folder)
        return Manifest(path, new)
    found = json.loads(path.read_text())
    changed = [k for k, v in asked.items() if found.get("asked", {}).get(k) != v]
    if changed and found["tables"]:
        raise UserError(
            f"output {folder} exists and was made with another {', '.join(changed)}: "
            "choose another generate.identifier, or remove the folder"
        )
    return Manifest(path, new if changed else found)


def check_writable(folder: Path) -> None:
    """UserError where `folder` cannot be made or written; nothing stays behind."""
    there = next(p for p in (folder, *folder.parents) if p.exists())
    try:
        with TemporaryDirectory(dir=there):  # permissions alone do not tell: the file system may be read-only
            pass
    except OSError as error:
        raise UserError(
            f"output {folder} cannot be written ({there}: {error.strerror}): choose another output"
        ) from None


def training_fingerprint(config: RunConfig) -> str:
    """Names the training that a configuration asks for: source, schema text, models, training options, seed."""
    asked = config.resolved()
    what = {k: asked[k] for k in ("source", "model", "tables", "break_edges", "train", "seed")}
    what["train"] = {k: v for k, v in asked["train"].items() if k != "checkpoint_minutes"}  # changes no weight
    path = Path(config.schema_path)
    text = path.read_text() if path.exists() else config.schema_path
    path = Path(config.source.path)
    there = [] if config.source.catalog else sorted(path.glob("*"))
    files = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in there]
    made_by = [version_of("spark-synth"), PLAN_FORMAT]
    return hashlib.sha256(json.dumps([what, text, files, made_by]).encode()).hexdigest()[:16]


def facts(config: RunConfig, schema: Schema) -> dict[str, Any]:
    """What a run is to be known by: hashes of configuration and schema, seed, versions, commit of the code."""
    hashed = {"config_hash": config.resolved(), "schema_hash": schema.model_dump(mode="json")}
    hashes = {k: hashlib.sha256(json.dumps(v, sort_keys=True).encode()).hexdigest()[:16] for k, v in hashed.items()}
    return {**hashes, "seed": config.seed, "git": git_commit(), "versions": versions()}


@cache
def git_commit() -> str:
    """The commit that this code is at, with `+changes` where files differ from it; `none` outside of a repository."""
    folder = Path(__file__).parent
    try:
        at = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True)
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--", ".."], cwd=folder, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "none"
    return at.stdout.strip() + ("+changes" if changed.stdout.strip() else "")


def versions() -> dict[str, str]:
    """Versions of what a run depends on."""
    return {"python": platform.python_version(), **{p: version_of(p) for p in PACKAGES}}


def version_of(package: str) -> str:
    """Installed version of a package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def now() -> str:
    """UTC time, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
