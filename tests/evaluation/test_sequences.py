"""Sequences: the figures are those of pandas, NULLs are left out, and what was shuffled is seen."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from spark_synth.evaluation import write_report
from spark_synth.evaluation.sequences import evaluate_sequence
from spark_synth.schema import Schema

FAMILIES, KEEPS = 60, 0.7


def schema() -> Schema:
    made = Schema().add_table("machine", "id", {"id": "key"})
    kinds = {"id": "key", "machine": "key", "at.time": "datetime", "heat": "numeric", "flat": "numeric"}
    return made.add_table("reading", "id", kinds).add_foreign_key("reading.machine", "machine.id")


def readings(seed: int = 1) -> pd.DataFrame:
    """Heat of the 5 to 20 readings of a machine: its level, and KEEPS of what the reading before was off it."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[Any, ...]] = []
    for machine in range(FAMILIES):
        level, off = rng.normal(0, 2), 0.0
        for hour in range(int(rng.integers(5, 21))):
            off = KEEPS * off + rng.normal()
            heat = level + off if rng.random() > 0.1 else None
            rows.append((len(rows), machine, pd.Timestamp("2024-01-01") + pd.Timedelta(hours=hour), heat, 1.0))
    return pd.DataFrame(rows, columns=["id", "machine", "at.time", "heat", "flat"])


def by_hand(rows: pd.DataFrame) -> dict[str, float]:
    known = rows.dropna(subset=["heat"]).sort_values(["machine", "at.time"])
    mean = known.groupby("machine")["heat"].transform("mean")
    after = known.groupby("machine")["heat"].shift(-1)
    lags = {"lag1": known["heat"].corr(after), "lag1_within": (known["heat"] - mean).corr(after - mean)}
    return {**lags, "icc": mean.var() / known["heat"].var()}


def frame(spark: SparkSession, rows: pd.DataFrame) -> DataFrame:
    types = "id int, machine int, `at.time` timestamp, heat double, flat double"
    return spark.createDataFrame(rows.astype({"heat": object}).where(rows.notna(), None), types)


@pytest.fixture(scope="module")
def compared(spark: SparkSession) -> Callable[[pd.DataFrame, pd.DataFrame], Any]:
    def run(real: pd.DataFrame, synth: pd.DataFrame) -> Any:  # noqa: ANN401
        one, other = (frame(spark, d) for d in (real, synth))
        made = schema()
        return evaluate_sequence(one, other, made, "reading", made.table("reading").foreign_keys[0], 40)

    return run


def test_figures_are_those_of_pandas(compared: Callable[..., Any]) -> None:
    one, other = readings(1), readings(2)
    found = compared(one, other)
    assert list(found["columns"]) == ["heat"] and found["order"] == "at.time"  # what never varies has no figure
    for k, pair in found["columns"]["heat"].items():
        assert pair == pytest.approx([by_hand(one)[k], by_hand(other)[k]], abs=1e-9), k
    assert found["gap_ks"] == 0 and found["lag1_mad"] < 0.1


def test_what_was_shuffled_is_seen(compared: Callable[..., Any]) -> None:
    real, synth = readings(1), readings(2)
    synth["heat"] = synth["heat"].sample(frac=1, random_state=0).to_numpy()
    synth["at.time"] = synth["at.time"] + (synth["at.time"] - pd.Timestamp("2024-01-01"))  # half as often
    found = compared(real, synth)
    assert found["lag1_mad"] > 0.5 and found["icc_mad"] > 0.3 and found["gap_ks"] == 1


def test_rows_without_a_time_or_a_family_are_no_sequence(compared: Callable[..., Any]) -> None:
    real = readings(1).drop_duplicates("machine")
    assert compared(real, real) is None


def test_the_report_tells_of_them(compared: Callable[..., Any], good: dict[str, Any], tmp_path: Any) -> None:  # noqa: ANN401
    order = good["tables"]["order"]
    link = {**order["fk"]["order.customer"], "sequence": compared(readings(1), readings(2))}
    tables = {**good["tables"], "order": {**order, "fk": {"order.customer": link}}}
    write_report({**good, "tables": tables}, tmp_path, {"identifier": "x"})
    page = (tmp_path / "tables" / "order.html").read_text(encoding="utf-8")
    assert "lag-1 autocorrelation" in page and ">heat<title>" in page and "Time between rows" in page


def test_times_between_rows_are_a_histogram_of_doublings(compared: Callable[..., Any]) -> None:
    real, synth = readings(1), readings(2)
    synth["at.time"] = synth["at.time"] + (synth["at.time"] - pd.Timestamp("2024-01-01"))
    found = compared(real, synth)["gaps"]
    assert found["axis"] == "gap" and len(found["edges"]) == len(found["real"]) + 1 <= 25
    bars = list(zip(pairwise(found["edges"]), found["real"], found["synth"], strict=True))
    one, two = (next(b for b in bars if b[0][0] <= seconds < b[0][1]) for seconds in (3600, 7200))
    assert one[1:] == (1, 0) and two[1:] == (0, 1)
