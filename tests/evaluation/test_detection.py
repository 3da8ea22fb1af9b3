"""A classifier finds what was planted, names it, and finds nothing where there is nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame

from spark_synth.evaluation.detection import Way, detect
from spark_synth.evaluation.giveaway import feature_plot
from spark_synth.evaluation.joins import along_owners
from spark_synth.evaluation.measures import auc_spread
from spark_synth.evaluation.report import write_report
from tests.evaluation.conftest import OWNERS, shop, shop_schema

Frames = Callable[[dict[str, pd.DataFrame]], dict[str, DataFrame]]


PLOT = {"axis": "category", "labels": ["a", None], "real": [0.5, 0.5], "synth": [1.0, 0.0]}


def found(frames: Frames, synth: dict[str, pd.DataFrame], table: str, way: Way = "alone", most: int = 1000) -> Any:  # noqa: ANN401
    real = shop(1)
    sides = frames(real), frames(synth)
    return detect(*sides, shop_schema(), table, [len(real[table]), len(synth[table])], most, 0, way)


def test_another_draw_is_not_told_apart(frames: Frames) -> None:
    other = found(frames, shop(2, first=1001), "order")
    assert other["low"] <= 0.55 and 0.4 < other["auc"] < 0.6
    assert other["rows"] == min(len(shop(1)["order"]), len(shop(2)["order"]))
    assert other["low"] < other["auc"] < other["high"] < other["low"] + 0.1


def test_what_was_planted_is_named(frames: Frames) -> None:
    synth = shop(2, first=1001)
    synth["order"]["amount"] += 40
    told = found(frames, synth, "order")
    first = told["told"][0]
    assert told["auc"] > 0.75 and first["feature"] == "amount" and first["share"] > 0.4
    plot = first["plot"]
    middles = (np.array(plot["edges"][1:]) + np.array(plot["edges"][:-1])) / 2
    assert np.dot(middles, plot["synth"]) - np.dot(middles, plot["real"]) > 15  # clipped where real amounts end
    assert found(frames, synth, "order", most=100)["rows"] in range(60, 101)


def test_categories_that_are_not_real_give_rows_away(frames: Frames) -> None:
    synth = shop(2, first=1001)
    synth["order"]["channel"] = synth["order"]["channel"].where(np.arange(len(synth["order"])) % 2 == 0, "invented")
    told = found(frames, synth, "order")
    first = told["told"][0]
    assert first["feature"] == "channel" and told["auc"] > 0.7
    assert "invented" not in first["plot"]["labels"] and first["plot"]["labels"][-1] is None
    assert first["plot"]["real"][-1] < 0.05 and first["plot"]["synth"][-1] > 0.45


def test_plots_show_nothing_that_few_real_rows_have() -> None:
    real = np.arange(400) < 200
    text = pd.Series(["common"] * 196 + ["rare"] * 4 + ["common"] * 100 + ["rare"] * 100)
    plot = feature_plot(text, real, "category")
    assert plot == {"axis": "category", "labels": ["common", None], "real": [0.97990, 0.0201], "synth": [0.5, 0.5]}
    few = pd.Series(np.where(np.arange(400) < 4, 1.0, np.nan)).where(real, 1.0)
    assert feature_plot(few, real, "numeric") is None
    bars = feature_plot(pd.Series(np.r_[np.zeros(190), np.full(10, 9.0), np.full(200, 99.0)]), real, "numeric")
    assert bars is not None and bars["edges"][-1] >= 9 and bars["synth"][-1] == 1.0 and sum(bars["real"]) == 1.0


def test_rows_below_are_seen_only_with_children(frames: Frames) -> None:
    """Orders that were dealt out anew among the customers: no customer is odd by itself."""
    synth = shop(2, first=1001)
    synth["order"]["customer"] = np.where(synth["order"].index % 2 == 0, synth["order"]["customer"], 1001)
    alone, below = (found(frames, synth, "customer", way) for way in ("alone", "children"))
    assert alone["auc"] < 0.6 < 0.65 < below["auc"]
    assert any(f["feature"].startswith(("number of order", "mean of order")) for f in below["told"][:2])


def test_there_may_be_nothing_to_tell(frames: Frames) -> None:
    synth = shop(2, first=1001)
    assert found(frames, synth, "order", "children") is None  # nothing below
    assert found(frames, synth, "country") is None  # two rows


def test_the_report_says_what_gave_rows_away(good: dict[str, Any], tmp_path: Any) -> None:  # noqa: ANN401
    one = {
        "auc": 0.7,
        "low": 0.65,
        "high": 0.75,
        "accuracy": 0.6,
        "rows": 300,
        "told": [
            {"feature": "größe", "share": 0.5, "plot": PLOT, "nulls": [0.0, 0.25]},
            {"feature": "<b>", "share": 0.1, "plot": None, "nulls": [0.0, 0.0]},
        ],
    }
    tables = {
        **good["tables"],
        "customer": {**good["tables"]["customer"], "detection": {"alone": one, "children": None}},
    }
    write_report({**good, "tables": tables}, tmp_path, {"identifier": "x"})
    page = (tmp_path / "tables" / "customer.html").read_text(encoding="utf-8")
    assert "with an AUC of <b>0.70</b>" in page and "<b>größe</b>" in page and "&lt;b&gt;" in page
    assert 'aria-label="größe: shares of values, real and synthetic"' in page and "too few real rows" in page


@pytest.mark.parametrize("auc", [0.5, 0.9])
def test_the_interval_is_that_of_hanley_and_mcneil(auc: float) -> None:
    """Table of their paper (1982): with 50 of each, an AUC of 0.9 has a standard error of about 0.03."""
    assert auc_spread(auc, 50, 50) == pytest.approx({0.5: 0.058, 0.9: 0.031}[auc], abs=0.002)


def test_the_rows_above_are_seen_in_folds_of_families(frames: Frames) -> None:
    """Customers of another draw are others, and no sign of it; orders of the wrong customers are one."""
    real, good, bad = shop(1), shop(2, first=1001), shop(2, first=1001)
    bad["order"]["customer"] = np.random.default_rng(1).permutation(bad["order"]["customer"])
    schema = along_owners(shop_schema(), OWNERS, {"country"})
    kept, dealt = (
        detect(
            frames(real),
            frames(synth),
            schema,
            "order",
            [len(real["order"]), len(synth["order"])],
            1000,
            0,
            "ancestors",
            OWNERS,
        )
        for synth in (good, bad)
    )
    assert kept and dealt
    assert kept["auc"] < 0.6 < 0.75 < dealt["auc"]
