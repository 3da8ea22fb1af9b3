"""Names of files for tables of any name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_LONGEST = 60
_TAKEN_BY_WINDOWS = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))}


def file_names(tables: Iterable[str]) -> dict[str, str]:
    """A file name ending in .html for each table: ASCII letters, digits, _ and - alone, no two the same where capitals
    do not count, none that an operating system keeps for itself."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for table in tables:
        plain = unicodedata.normalize("NFKD", table).encode("ascii", "ignore").decode()
        stem = re.sub(r"[^A-Za-z0-9_-]+", "_", plain).strip("_-")[:_LONGEST] or "table"
        stem = f"{stem}_" if stem.lower() in _TAKEN_BY_WINDOWS else stem
        free, n = stem, 1
        while free.lower() in taken:
            n += 1
            free = f"{stem}-{n}"
        taken.add(free.lower())
        names[table] = f"{free}.html"
    return names
