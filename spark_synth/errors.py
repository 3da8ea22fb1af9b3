"""The two kinds of failure that a user meets; everything else is a bug and keeps its traceback."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can put right: one clear line naming table, column or option. Exit code 2."""


class RunError(Exception):
    """The run itself failed (a lost store, a failed integrity gate): one clear line. Exit code 1."""
