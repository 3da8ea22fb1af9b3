"""Rules of the real rows are found, chance is not taken for one, and broken rules are counted over all rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame

from spark_synth.evaluation.rules import evaluate_rules, rules_score
from spark_synth.schema import Schema

Frames = Callable[..., dict[str, DataFrame]]
TYPES = {
    "member": "id int, joined date",
    "loan": "id int, member int, `first day` date, last date, least double, most double, `a.town` string, land string, "
    "mood string",
}


def library() -> Schema:
    """Loans of members."""
    schema = Schema()
    schema.add_table("member", "id", {"joined": "datetime"})
    kinds = {"first day": "datetime", "last": "datetime", "least": "numeric", "most": "numeric"}
    schema.add_table("loan", "id", kinds | dict.fromkeys(("a.town", "land", "mood"), "categorical"))
    return schema.add_foreign_key("loan.member", "member.id", owner=True)


def rows(seed: int) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(seed)

    def days(n: int) -> pd.TimedeltaIndex:
        return pd.to_timedelta(rng.integers(0, 400, n), unit="D")

    member = pd.DataFrame({"id": np.arange(100), "joined": pd.Timestamp("2020-01-01") + days(100)})
    loan = pd.DataFrame({"id": np.arange(1000), "member": rng.integers(0, 100, 1000)})
    loan["first day"] = member["joined"].to_numpy()[loan["member"]] + days(1000)
    loan["last"] = loan["first day"] + days(1000)
    loan["least"] = rng.normal(0, 1, 1000)
    loan["most"] = loan["least"] + rng.exponential(1, 1000)
    loan.loc[::7, "most"] = np.nan
    loan["a.town"] = rng.choice(["Oslo", "Bergen", "Lund", "Malmö"], 1000)
    loan["land"] = loan["a.town"].map({"Oslo": "NO", "Bergen": "NO", "Lund": "SE", "Malmö": "SE"})
    loan["mood"] = rng.choice(["good", "bad"], 1000)
    return {"member": member, "loan": loan}


def found(frames: Frames, synth: dict[str, pd.DataFrame], sample_rows: int = 100_000) -> dict[str, Any]:
    real = rows(1)
    rules = evaluate_rules(
        frames(real, TYPES),
        frames(synth, TYPES),
        library(),
        "loan",
        rows=1000,
        sample_rows=sample_rows,
        most_columns=40,
    )
    return {r["rule"]: r for r in rules}


def test_rules_are_found_and_hold_in_another_sample(frames: Frames) -> None:
    rules = found(frames, rows(2))
    assert set(rules) == {
        "member[member].joined <= first day",
        "first day <= last",
        "least <= most",
        "a.town determines land",
    }
    assert all(r["real"] == r["synth"] == 1 for r in rules.values()) and rules_score(rules.values()) == 1


def test_broken_rules_are_counted_over_all_rows(frames: Frames) -> None:
    synth = rows(2)
    synth["loan"]["land"] = np.where(synth["loan"].index % 10 == 0, "DK", synth["loan"]["land"])
    swapped = synth["loan"].index % 4 == 0
    synth["loan"].loc[swapped, ["first day", "last"]] = synth["loan"].loc[swapped, ["last", "first day"]].to_numpy()
    rules = found(frames, synth, sample_rows=300)
    assert rules["a.town determines land"]["synth"] == pytest.approx(0.9, abs=0.001)
    share = (synth["loan"]["first day"] <= synth["loan"]["last"]).mean()
    assert rules["first day <= last"]["synth"] == pytest.approx(share, abs=1e-9) and share < 0.8
    assert rules["least <= most"]["real"] == 1 and (rules_score(rules.values()) or 1) < 0.97


def test_few_rows_prove_nothing(frames: Frames) -> None:
    few = {t: df.head(40) for t, df in rows(1).items()}
    sides = frames(few, TYPES)
    assert evaluate_rules(sides, sides, library(), "loan", rows=40, sample_rows=1000, most_columns=40) == []
    assert rules_score([]) is None
