"""Entries that a tracking server could not take, kept below the output folder until it answers again.

One JSON line an entry, in the order in which they were to be written, in one file a process; a file is locked while its
process lives. Runs that were begun while the server was away have ids of their own, for which `ids.json` has those that
the server gives them.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from spark_synth.tracking.entities import Refused
from spark_synth.whole import write_json

_OWN = "spool-"


class Spool:
    """The spooled entries of one store, named by its address."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.folder = folder
        self._store = hashlib.sha256(uri.encode()).hexdigest()[:8]
        self._file: TextIO | None = None
        self._ids = folder / "ids.json"

    def add(self, entry: Mapping[str, Any]) -> str | None:
        """Keep an entry; where it makes a run, the id by which others name that run."""
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / f"{self._store}-{uuid.uuid4().hex[:12]}.new"
            self._file = path.open("a")
            fcntl.flock(self._file, fcntl.LOCK_EX)
            path.rename(path.with_suffix(".jsonl"))  # found by others only when it is locked
        made = f"{_OWN}{uuid.uuid4().hex}" if entry["do"] == "create_run" else None
        self._file.write(json.dumps({**entry, **({"as": made} if made else {})}) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        return made

    def replay(self, apply: Callable[[Mapping[str, Any]], str | None], tell: Callable[[str], None]) -> int:
        """Write what earlier processes have left, each entry once; how many there were.

        What the store refuses stays in a file beside, and is told. Where it goes away again, the rest stays.
        """
        done = 0
        for path in sorted(self.folder.glob(f"{self._store}-*.jsonl"), key=lambda p: p.stat().st_mtime):
            with path.open() as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:  # its process still writes it
                    continue
                done += self._replay(path, file, apply, tell)
        return done

    def real(self, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        """The value with the ids of spooled runs replaced by those that the store has given them."""
        if isinstance(value, dict):
            return {k: self.real(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.real(v) for v in value]
        if isinstance(value, str) and value.startswith(_OWN):
            return self._known().get(value, value)
        return value

    def _replay(
        self, path: Path, file: TextIO, apply: Callable[[Mapping[str, Any]], str | None], tell: Callable[[str], None]
    ) -> int:
        mark = path.with_suffix(".done")
        before = int(mark.read_text()) if mark.exists() else 0
        refused: list[str] = []
        lines = [line for line in file if line.endswith("\n")]  # the last may be cut where its process was killed
        for number, line in enumerate(lines[before:], before + 1):
            entry = self.real(json.loads(line))
            own = entry.pop("as", None)
            try:
                made = apply(entry)
            except (Refused, OSError) as error:
                refused.append(line)
                tell(f"MLflow does not take what was spooled ({entry['do']}): {error}")
                path.with_suffix(".refused").write_text("".join(refused))
            else:
                if own is not None:
                    write_json(self._ids, {**self._known(), own: made})
            mark.write_text(str(number))
        path.unlink()
        mark.unlink(missing_ok=True)
        return len(lines) - before

    def _known(self) -> dict[str, str]:
        if not self._ids.exists():
            return {}
        known: dict[str, str] = json.loads(self._ids.read_text())
        return known
