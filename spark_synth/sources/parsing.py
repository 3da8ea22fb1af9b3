"""Text to values: Spark expressions that give NULL for what does not fit, under ANSI mode too."""

from __future__ import annotations

import re
from itertools import pairwise

from pyspark.sql import Column
from pyspark.sql import functions as F

from spark_synth.errors import UserError
from spark_synth.sources.spark_util import quote

# strptime directives and their Spark patterns, as wide as strptime writes them
_DIRECTIVES = {
    "Y": "yyyy",
    "y": "yy",
    "m": "MM",
    "d": "dd",
    "H": "HH",
    "I": "hh",
    "M": "mm",
    "S": "ss",
    "f": "SSSSSS",
    "j": "DDD",
    "b": "MMM",
    "B": "MMMM",
    "p": "a",
    "z": "xx",
}
_SHORTHAND = {"T": "%H:%M:%S", "R": "%H:%M", "D": "%m/%d/%y", "F": "%Y-%m-%d"}
_TIME = frozenset("HIMSfpz")
_TOKENS = re.compile(r"%(.)|([^%]+)|(%$)", re.DOTALL)


def cast_to(name: str, type_: str, format_: str | None = None) -> Column:
    """The column as that type, NULL where the value does not fit; dates and timestamps by the strptime format."""
    if type_ == "string":
        return F.expr(f"cast({quote(name)} as string)")
    if format_ is not None and type_ in ("date", "timestamp", "timestamp_ntz"):
        return F.try_to_timestamp(F.expr(quote(name)), F.lit(spark_pattern(format_))).cast(type_)
    return F.expr(f"try_cast({quote(name)} as {type_})")


def has_time(format_: str) -> bool:
    """Whether a strptime format holds any part of the time of day."""
    return any(directive in _TIME for directive, _ in _tokens(format_) if directive)


def spark_pattern(format_: str) -> str:
    """The Spark datetime pattern of a strptime format; UserError where a directive has none."""
    tokens = _tokens(format_)
    touching = any(a and b for (a, _), (b, _) in pairwise(tokens))
    parts = []
    for directive, literal in tokens:
        if not directive:
            parts.append(re.sub(r"[A-Za-z\[\]{}#']+", lambda m: "'" + m[0].replace("'", "''") + "'", literal))
        elif directive not in _DIRECTIVES:
            raise UserError(f"datetime format {format_!r}: %{directive} cannot be read; use {_usable()}")
        else:
            pattern = _DIRECTIVES[directive]
            # like strptime, take 7 for 07; where fields touch, only their width tells them apart
            parts.append(pattern if touching or directive not in "mdHIMS" else pattern[0])
    return "".join(parts)


def _tokens(format_: str) -> list[tuple[str, str]]:
    """(directive, '') or ('', literal) in order."""
    for short, long in _SHORTHAND.items():
        format_ = format_.replace(f"%{short}", long)
    tokens = []
    for directive, literal, dangling in _TOKENS.findall(format_):
        if dangling:
            raise UserError(f"datetime format {format_!r} ends in a lone %")
        tokens.append(("", "%") if directive == "%" else (directive, literal))
    return tokens


def _usable() -> str:
    return " ".join(f"%{d}" for d in _DIRECTIVES)
