"""Types of synthetic keys: a key that runs past its real type gets a wider one, and so do the keys that refer to it.

A wave is written to tables that are there: its keys have the types of these, and must fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pyspark.sql import DataFrame

from spark_synth.errors import UserError
from spark_synth.generation.orphans import reserved
from spark_synth.generation.run import Generation

NARROW = {"tinyint": 2**7 - 1, "smallint": 2**15 - 1, "int": 2**31 - 1}  # largest value of each


def key_types(run: Generation, counts: Mapping[str, int]) -> dict[tuple[str, str], str]:
    """Key columns that need 64 bits because the synthetic keys run past theirs, and the foreign keys that follow.

    counts: rows of the tables that are made.
    """
    if run.there is not None:
        return _of_those_there(run, run.there, counts)
    wide: dict[tuple[str, str], str] = {}
    for t, plan in run.plans.items():
        count = (counts.get(t) or run.target(t) * 2) + reserved(run, t)
        for key in plan.keys:
            largest = NARROW.get(plan.columns[key.column])
            if key.how == "integer" and largest and key.start + count > largest and t not in run.kept:
                wide[t, key.column] = "bigint"
    changed = True
    while changed:
        changed = False
        for t, plan in run.plans.items():
            for edge in plan.edges:
                for c, p in edge.taken:
                    if (edge.parent, p) in wide and (t, c) not in wide:
                        wide[t, c] = "bigint"
                        changed = True
    return wide


def _of_those_there(
    run: Generation, there: Callable[[str], DataFrame], counts: Mapping[str, int]
) -> dict[tuple[str, str], str]:
    """The types of the tables that a wave is added to, where they are not the real ones."""
    found: dict[tuple[str, str], str] = {}
    for t, count in counts.items():
        types, plan = dict(there(t).dtypes), run.plans[t]
        found |= {(t, c): types[c] for c, type_ in plan.columns.items() if types[c] != type_}
        for key in plan.keys:
            largest = NARROW.get(types[key.column])
            last = key.start + run.used.get(t, 0) + count + reserved(run, t)
            if key.how == "integer" and largest and last > largest:
                raise UserError(
                    f"--append: {t}.{key.column} is {types[key.column]}, which has no room for {count:,} more keys"
                )
    return found
