"""Values from environment variables: put into a configuration, and kept out of everything that is logged."""

from __future__ import annotations

import os
import re
from typing import Any

from spark_synth.errors import UserError

_ENV = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRET_KEY = re.compile(r"secret|passw|token|access[._]?key|account[._]?key|credential", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(://[^/\s:@]+:)[^/\s@]+(@)")
_MASK = "***"
_MIN_SEARCHED = 4  # shorter values are masked where they were written, not searched for inside other text


class Environment:
    """Fills ${NAME} into plain data and remembers where, so that the same data can be masked afterwards."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, ...], str] = {}  # option -> the text with ${NAME} in it
        self._values: dict[str, str] = {}  # value -> ${NAME}

    def fill(self, node: Any, place: tuple[str, ...] = ()) -> Any:  # noqa: ANN401
        """A copy of `node` with every ${NAME} replaced; UserError where a variable is not set."""
        if isinstance(node, dict):
            return {key: self.fill(value, (*place, str(key))) for key, value in node.items()}
        if isinstance(node, list):
            return [self.fill(value, (*place, str(i))) for i, value in enumerate(node)]
        if not isinstance(node, str) or not _ENV.search(node):
            return node
        self._places[place] = node
        return _ENV.sub(lambda match: self._value(match, place), node)

    def mask(self, node: Any, place: tuple[str, ...] = ()) -> Any:  # noqa: ANN401
        """A copy of `node` that shows ${NAME} for what came from the environment, and *** for other passwords."""
        if place in self._places:
            return self._places[place]
        if isinstance(node, dict):
            return {key: self.mask(value, (*place, str(key))) for key, value in node.items()}
        if isinstance(node, list):
            return [self.mask(value, (*place, str(i))) for i, value in enumerate(node)]
        if not isinstance(node, str):
            return node
        if place and _SECRET_KEY.search(place[-1]):
            return _MASK
        for value in sorted(self._values, key=len, reverse=True):
            node = node.replace(value, self._values[value])
        return _URL_PASSWORD.sub(rf"\1{_MASK}\2", node)

    def _value(self, match: re.Match[str], place: tuple[str, ...]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise UserError(f"option '{'.'.join(place)}': environment variable {name} is not set")
        value = os.environ[name]
        if len(value) >= _MIN_SEARCHED:
            self._values[value] = match.group(0)
        return value
