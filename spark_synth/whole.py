"""Files of state that others read: each is there whole or not at all, whatever kills its writer or fills its disk."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make the file beside its place, then put it there; where that fails, nothing of it stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        write(temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any, indent: int | None = None) -> None:  # noqa: ANN401 - whatever JSON takes
    """`value` as a JSON file, written whole."""
    text = json.dumps(value, indent=indent)
    write_whole(path, lambda p: p.write_text(text))
