"""A sample of rows in the memory of one Spark task, so that none reaches the driver."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame


def in_one_task(rows: DataFrame, figures: Callable[[pd.DataFrame], Any]) -> Any:  # noqa: ANN401 - any JSON value
    """What `figures` finds in all rows together, as JSON values; None where there is no row. Names may have any letter,
    which those of a frame that goes through Arrow may not: rows travel under others."""
    names = rows.columns

    def task(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        parts = list(frames)
        if parts:
            whole = pd.concat(parts, ignore_index=True)
            whole.columns = pd.Index(names)
            yield pd.DataFrame({"found": [json.dumps(figures(whole))]})

    plain = rows.toDF(*[f"f{i}" for i in range(len(names))]).repartition(1)
    found = plain.mapInPandas(task, "found string").collect()
    return json.loads(found[0]["found"]) if found else None
