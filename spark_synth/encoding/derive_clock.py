"""Rules: a clock time written HHMM that is another one plus some minutes (arrival = scheduled arrival + delay)."""

from __future__ import annotations

import numpy as np

from spark_synth.encoding.derive_sample import MIN_ROWS, Rule, Sample
from spark_synth.encoding.hhmm import clock_sql
from spark_synth.encoding.views import DAY_MINUTES
from spark_synth.schema.names import quote

_TOLERANCE = 0.001  # rows that may disagree: rows around midnight are often written down wrong
_SLACK = 0.003  # the same in the sample
_NULLS = 0.01  # rows in which only one side is NULL
_SUPPORT = 10  # rows with a difference


def clock_rules(sample: Sample, taken: set[str]) -> list[Rule]:
    """Proposals for columns not in `taken`; each comes twice, with midnight written 0 and 2400."""
    whole = [c for c in sample.numbers if sample.whole(c)]
    clocks = [c for c in whole if _is_clock(sample.numbers[c])]
    rules = []
    for target in clocks:
        if target in taken or target not in sample.targets:
            continue
        found = next(
            (
                (start, minutes)
                for start in clocks
                for minutes in whole
                if len({target, start, minutes}) == 3 and _holds(sample, target, start, minutes)
            ),
            None,
        )
        if found:
            rules += [_rule(target, *found, midnight) for midnight in (0, 2400)]
    return rules


def _is_clock(values: np.ndarray) -> bool:
    present = values[~np.isnan(values)]
    if len(present) < MIN_ROWS or present.min() < 0 or present.max() > 2400 or present.max() < 1300:
        return False
    return bool(np.all(present % 100 < 60)) and len(np.unique(present)) >= 24


def _holds(sample: Sample, target: str, start: str, minutes: str) -> bool:
    own, base, more = (sample.numbers[c] for c in (target, start, minutes))
    off = (_minutes(base) + more - _minutes(own)) % DAY_MINUTES
    known = off[~np.isnan(off)]
    made = ~np.isnan(base + more)
    return (
        len(known) >= MIN_ROWS
        and float(np.mean(known != 0)) <= _SLACK
        and int(np.sum(more[~np.isnan(off)] != 0)) >= _SUPPORT
        and float(np.mean(made == np.isnan(own))) <= _NULLS
    )


def _minutes(clock: np.ndarray) -> np.ndarray:
    return clock // 100 * 60 + clock % 100


def _rule(target: str, start: str, minutes: str, midnight: int) -> Rule:
    sql = clock_sql(start, minutes, midnight)
    return Rule("derived", target, sql, (start, minutes), f"{sql} <> {quote(target)}", _TOLERANCE)
