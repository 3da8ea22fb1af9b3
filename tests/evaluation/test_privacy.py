"""Copies score low, another sample of the same source scores high, and what lies between lies between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from spark_synth.evaluation.attacks import excess, membership, of_both
from spark_synth.evaluation.copies import count_copies
from spark_synth.evaluation.halves import halves
from spark_synth.evaluation.privacy import aggregate, evaluate_privacy, level, scored
from spark_synth.evaluation.sampled import measured
from spark_synth.schema import Schema
from tests.evaluation.conftest import OWNERS, shop, shop_schema

Frames = Callable[[dict[str, pd.DataFrame]], dict[str, DataFrame]]
CUSTOMERS = 360
HELD = 300  # customers from this number on are held out


@dataclass(frozen=True)
class Settings:
    """The evaluate section of a configuration."""

    privacy_rows: int = 2000


def families(tables: Mapping[str, pd.DataFrame], kept: Callable[[pd.Series], pd.Series]) -> dict[str, pd.DataFrame]:
    """The customers that are kept, with their orders."""
    rows = {"customer": kept(tables["customer"]["id"]), "order": kept(tables["order"]["customer"])}
    return {t: v[rows[t]].reset_index(drop=True) if t in rows else v for t, v in tables.items()}


def half_copied() -> dict[str, pd.DataFrame]:
    """Every other customer of the real shop, and as many of another."""
    sides = (families(shop(s, CUSTOMERS, f), lambda k: k % 2 == 0) for s, f in ((1, 1), (2, 5001)))
    own, fresh = sides
    return {t: own[t] if t == "country" else pd.concat([own[t], fresh[t]], ignore_index=True) for t in own}


Evaluate = Callable[[dict[str, pd.DataFrame]], dict[str, Any]]


@pytest.fixture(scope="module")
def evaluate(frames: Frames, tmp_path_factory: pytest.TempPathFactory) -> Evaluate:
    """Compare a shop with the real one, of whose customers some were held out."""
    tables = shop(1, CUSTOMERS)
    real, schema = frames(tables), shop_schema()
    held = frames(families(tables, lambda key: key > HELD))
    cut = halves(real, schema, OWNERS, str(tmp_path_factory.mktemp("halves")), 3)

    def run(synth: dict[str, pd.DataFrame]) -> dict[str, Any]:
        told = list[str]()
        given = (real, frames(synth), schema, OWNERS, {"country"}, (cut.one, cut.other), Settings(), 0)
        found = evaluate_privacy(*given, told.append, held)
        assert told == ["privacy of customer measured", "privacy of order measured"]
        return found

    return run


@pytest.fixture(scope="module")
def other(evaluate: Evaluate) -> dict[str, Any]:
    """Another sample of the same source."""
    return evaluate(shop(2, CUSTOMERS, first=5001))


def test_a_copy_gives_all_away(evaluate: Evaluate) -> None:
    found = evaluate(shop(1, CUSTOMERS))
    assert found["level"] == "Poor" and found["score"] < 5
    for table, ways in found["tables"].items():
        for way in ways.values():
            assert way["score"] < 5, table
            assert way["nearness"]["P"] > 0.9 and way["copies"]["exact"]["share"] == 1
            assert way["closest"]["synth"]["p5"] == 0 < way["closest"]["real"]["p5"]


def test_another_sample_gives_nothing_away(other: dict[str, Any]) -> None:
    assert other["level"] in ("Excellent", "Very Good") and other["score"] > 92
    assert all(score > 90 for score in other["parts"].values())
    for ways in other["tables"].values():
        for way in ways.values():
            assert way["nearness"]["P"] < 0.09  # far less where siblings share a parent
            assert way["copies"]["exact"]["share"] == 0
            assert way["membership"]["auc"] == pytest.approx(0.5, abs=0.09)
            assert way["membership"]["auc_low"] < 0.5 < way["membership"]["auc_high"]


@pytest.mark.slow
def test_half_a_copy_is_between(evaluate: Evaluate) -> None:
    found = evaluate(half_copied())
    assert 30 < found["score"] < 67 and found["level"] == "Poor"
    for table, ways in found["tables"].items():
        for way in ways.values():
            assert 30 < way["score"] < 67, table
            assert way["copies"]["exact"]["share"] == pytest.approx(0.5, abs=0.05)
            assert way["copies"]["exact"]["risk"] == pytest.approx(0.5, abs=0.08)


def test_reference_tables_are_not_scored_and_sizes_are_told(other: dict[str, Any]) -> None:
    assert set(other["tables"]) == {"customer", "order"} and other["rows"] == 2000
    sizes = other["tables"]["customer"]["alone"]["rows"]
    assert sizes["real"] == sizes["synth"] == CUSTOMERS and sizes["held"] == CUSTOMERS - HELD
    assert other["tables"]["order"]["joined"]["copies"]["rows"]["synth"] == len(shop(2, CUSTOMERS)["order"])


def test_what_is_told_of_fitted_rows_alone_is_inference() -> None:
    """Synthetic rows are the fitted ones: of these they tell all, of held-out rows what rows of the source tell."""
    numbers, categories = list("abcd"), ["kind", "place"]
    both = pd.concat([drawn(0, 600), drawn(0, 600).head(450)], ignore_index=True)
    number = np.random.default_rng(7).integers(0, 2**60, len(both))
    both = both.assign(__place=number, __family=number, __held=(both.index >= 450) & (both.index < 600))
    both["__side"] = np.where(both.index >= 600, 2, number // 4 % 2)
    found = measured(both, numbers, categories, numbers + categories, numbers, 600, 50, 0)
    assert found is not None
    told = found["inference"]["columns"]
    assert told["a"]["attack"] > 0.99 and told["a"]["low"] > 0.9 > 0.5 > told["a"]["control"] > 0.05
    assert found["inference"]["risk"] > 0.9 and found["membership"]["auc"] > 0.95


def test_rows_that_repeat_each_other_give_nothing_away(spark: SparkSession) -> None:
    """Answers of few kinds: every one is a copy of some other, in another sample as in a copy of the real rows."""
    schema = Schema().add_table("answer", "id", {"id": "key", **dict.fromkeys("abc", "categorical")})
    schema.add_table("small", "id", {"id": "key", "a": "categorical", "b": "categorical"})
    schema.add_table("narrow", "id", {"id": "key", "a": "categorical"})
    random = np.random.default_rng(0)
    rows = [[i, *map(str, random.integers(0, 4, 3))] for i in range(3000)]
    sides = [spark.createDataFrame(part, "id int, a string, b string, c string") for part in (rows[:1500], rows[1500:])]
    real, synth = ({"answer": s, "small": s.limit(30).drop("c"), "narrow": s.select("id", "a")} for s in sides)
    owners = dict.fromkeys(schema.tables)
    found = evaluate_privacy(real, synth, schema, owners, set(), None, Settings(500), 0)
    alone = found["tables"]["answer"]["alone"]
    assert alone["copies"]["exact"]["share"] > 0.95 and alone["copies"]["exact"]["low"] < 0.05
    assert alone["membership"] is None and found["score"] > 90
    assert alone["rows"]["real"] <= 500 and alone["copies"]["rows"] == {"real": 1500, "synth": 1500}
    assert found["tables"]["small"] == found["tables"]["narrow"] == {"alone": None, "joined": None}


def drawn(seed: int, rows: int) -> pd.DataFrame:
    """Rows of four numbers, of which two follow each other, and two categories."""
    random = np.random.default_rng(seed)
    a, b, c = random.standard_normal((3, rows))
    table = pd.DataFrame({"a": a, "b": a + 0.3 * b, "c": np.exp(3 * c), "d": random.integers(0, 900, rows) * 1.0})
    return table.assign(
        kind=np.array(["x", "y", None])[random.integers(0, 3, rows)], place=random.choice(list("abcdefgh"), rows)
    )


def noisy(share: float, rows: int) -> pd.DataFrame:
    """Another sample, of which a share are real rows with a little noise."""
    fresh, copies = drawn(1, rows), drawn(0, rows).assign(d=lambda t: t["d"] + 0.1)
    copies[["a", "b"]] += np.random.default_rng(5).normal(0, 1e-3, (rows, 2))
    return fresh.where(pd.Series(np.random.default_rng(6).random(rows) >= share), copies, axis=0)


def test_risks_rise_with_the_share_of_noisy_copies() -> None:
    numbers, categories = list("abcd"), ["kind", "place"]
    risks, scores = [], []
    for share in (0.0, 0.5, 1.0):
        both = pd.concat([drawn(0, 600), noisy(share, 600)], ignore_index=True)
        number = np.random.default_rng(7).integers(0, 2**60, 1200)
        both = both.assign(__place=number, __family=number, __held=False)
        both["__side"] = np.where(both.index >= 600, 2, number // 4 % 2)
        found = measured(both, numbers, categories, numbers + categories, numbers, 600, 50, 0)
        assert found is not None and found["membership"] is None
        risks.append([found[part]["risk"] for part in ("nearness", "closest", "inference")])
        scores.append(scored(found)["score"])
    assert (np.diff(risks, axis=0) > 0.1).all()
    assert max(risks[0]) < 0.1 and min(risks[-1]) > 0.7
    assert scores[0] > 90 and scores[-1] < 10 and scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_near_copies_are_found_among_all_rows(spark: SparkSession, share: float) -> None:
    real = drawn(0, 1200).assign(side=np.arange(1200) % 2)
    both = pd.concat([real, noisy(share, 1200).assign(side=2)], ignore_index=True)
    cells = both.astype(object).where(both.notna(), None)
    types = "a double, b double, c double, d double, kind string, place string, side int"
    spreads = {c: float(np.subtract(*np.percentile(real[c], [90, 10]))) for c in "abcd"}
    found = count_copies(spark.createDataFrame(cells.to_numpy().tolist(), types), "side", spreads, 0)
    assert found is not None and found["exact"]["share"] == 0 == found["exact"]["risk"]
    assert found["near"]["share"] == pytest.approx(share, abs=0.05) and found["near"]["control"] < 0.01


def test_copies_of_what_many_rows_share_give_nothing_away(spark: SparkSession) -> None:
    """Each place is shared by twenty real rows, but every hundredth row is the only one of its place."""
    real = [(f"place {i % 100}" if i % 100 else f"only {i}", i // 100 % 2) for i in range(2000)]
    common = [(f"place {i % 99 + 1}", 2) for i in range(2000)]
    rare = [(f"only {i * 100}", 2) for i in range(20)]
    for made, low, high in ((common, 0.0, 0.0), (common[:1980] + rare, 0.0, 0.02), (rare * 5, 0.8, 1.0)):
        found = count_copies(spark.createDataFrame(real + made, "place string, side int"), "side", {}, 0)
        assert found is not None and found["exact"]["share"] == 1 and found["exact"]["control"] == 0
        assert low <= found["exact"]["low"] <= high and found["near"]["share"] == 1


def test_membership_is_told_where_fitted_rows_are_nearer() -> None:
    random = np.random.default_rng(0)
    same = membership(random.random(900), random.random(100), (900, 100))
    nearer = membership(random.random(900) / 4, random.random(100), (900, 100))
    assert same is not None and same["auc_low"] < 0.5 < same["auc_high"] and same["low"] == 0
    few = membership(random.random(900) / 4, random.random(100), (90, 20))
    assert nearer is not None and nearer["auc"] > 0.8 and nearer["low"] > 0.5
    assert few is not None and few["low"] < nearer["low"]
    assert membership(random.random(900), random.random(100), (300, 9)) is None


def test_a_risk_is_what_is_beyond_the_control() -> None:
    assert excess(0.6, 1000, 0.2, 1000)["risk"] == pytest.approx(0.5)
    assert excess(0.2, 1000, 0.2, 1000)["low"] == 0 and excess(0.1, 1000, 0.2, 1000)["risk"] == 0
    assert of_both([0.6, 0.6], [0.2, 0.2], (500, 500))["risk"] == pytest.approx(1)  # each half gives half of it away
    widths = [(e := excess(0.6, n, 0.2, n))["high"] - e["low"] for n in (50, 5000)]
    assert widths[0] > 5 * widths[1]


def test_the_score_is_that_of_the_worst_and_of_all() -> None:
    found = {"nearness": {"low": 0.1, "blind": False}, "closest": {"low": 0.9, "blind": True}}
    copies = {"exact": {"low": 0.0}, "near": {"low": 0.3}}
    one = scored({**found, "copies": copies, "inference": {"columns": {}}})
    assert one["parts"] == {
        "nearness": pytest.approx(90),
        "closest": None,
        "copies": pytest.approx(70),
        "inference": None,
        "singling": None,
        "membership": None,
    }
    assert one["score"] == pytest.approx(70)
    best = {"score": 100.0, "parts": {"copies": 100.0}}
    whole = aggregate({"a": {"alone": one, "joined": None}, "b": {"alone": best, "joined": best}})
    assert whole["score"] == pytest.approx((90 + 70) / 2) and whole["level"] == "Good"
    assert whole["parts"]["copies"] == pytest.approx((90 + 70) / 2) and whole["parts"]["closest"] is None
    assert aggregate({"a": {"alone": None, "joined": None}})["score"] is None
    assert [level(s) for s in (100, 94, 85, 70, 10)] == ["Excellent", "Very Good", "Good", "Normal", "Poor"]
