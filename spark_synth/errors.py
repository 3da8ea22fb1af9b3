"""The two kinds of failure that a user meets; everything else is a bug and keeps its traceback."""

from __future__ import annotations

from collections.abc import Sequence


class UserError(Exception):
    """Something the user can put right: one clear line naming table, column or option. Exit code 2."""


class RunError(Exception):
    """The run itself failed (a lost store, a failed integrity gate): one clear line. Exit code 1."""


class GateError(RunError):
    """Figures that do not meet the gates of the configuration: one line each. Exit code 1."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = list(lines)
