"""The whole evaluation on real Spark: it must see what is right and what is broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pandas as pd
import pytest

from spark_synth.evaluation import flatten

pytestmark = pytest.mark.e2e

Compare = Callable[..., dict[str, Any]]
Draw = Callable[..., dict[str, pd.DataFrame]]


def test_a_second_draw_scores_high_and_passes_every_gate(good: dict[str, Any]) -> None:
    summary = good["summary"]
    assert good["problems"] == []
    assert summary["score"] > 70 and summary["kept"] == pytest.approx(1, abs=0.05)
    assert summary["max_orphans"] == summary["duplicate_keys"] == summary["copied"] == 0
    link = good["tables"]["order"]["fk"]["order.customer"]
    assert link["owner"] and link["degree"]["ks"] < 0.12
    assert link["degree"]["mean"] == pytest.approx([3, 3], abs=0.4)


def test_awkward_columns_are_measured_or_left_out(good: dict[str, Any]) -> None:
    columns = good["tables"]["customer"]["columns"]
    assert columns["all null"]["shape"] is None and columns["all null"]["nulls"] == [1, 1]
    assert columns["constant"]["shape"] == 1
    for name in ("city.of birth", "größe", "vip", "balance", "born"):
        assert columns[name]["shape"] > 0.85, name
    assert columns["country"]["shape"] is None and columns["country"]["nulls"][0] == pytest.approx(0.1, abs=0.06)
    assert columns["country"]["copied"] is None  # a link to kept rows must repeat them
    assert "constant" not in good["tables"]["customer"]["pairs"]["columns"]


def test_personal_data_that_coincides_is_a_note(good: dict[str, Any]) -> None:
    assert [n.split(":")[0] for n in good["notes"]] == ["customer.email"]


def test_the_result_is_json_and_shows_no_real_text_or_rare_category(good: dict[str, Any]) -> None:
    text = json.dumps(good, allow_nan=False)
    assert "Bergen" in text and "Rareton" not in text
    assert "secret" not in text and "example.org" not in text


@pytest.mark.slow
def test_real_against_real_is_perfect_but_copied(compare: Compare, draw: Draw) -> None:
    found = compare(draw(1), draw(1))
    assert found["summary"]["score"] == 100
    assert {p.split(":")[0] for p in found["problems"]} == {"customer.id", "customer.note", "order.number"}
    assert found["tables"]["customer"]["columns"]["note"]["copied"] == 300


@pytest.mark.slow
def test_shuffled_columns_keep_their_shapes_and_lose_their_ties(compare: Compare, draw: Draw) -> None:
    synth = draw(1, first=1001)
    for table, columns in (("customer", ["größe", "city.of birth"]), ("order", ["amount", "channel"])):
        for i, c in enumerate(columns):
            synth[table][c] = synth[table][c].sample(frac=1, random_state=i).to_numpy()
    found = compare(draw(1), synth)
    assert found["summary"]["shapes"] == 1
    assert found["summary"]["kept"] < 0.3
    association = found["tables"]["order"]["fk"]["order.customer"]["association"]
    assert association["worst"][0]["real"] > 0.9 and association["worst"][0]["synth"] < 0.3
    assert found["tables"]["customer"]["pairs"]["mean"] < 0.97


@pytest.fixture(scope="module")
def doubled(compare: Compare, draw: Draw) -> dict[str, Any]:
    """Twice the customers were asked for, and three faults are in the orders."""
    synth = draw(2, customers=600, first=1001)
    order = synth["order"].iloc[:1000].copy()
    order["number"] = order["number"].where(order.index != 0, order["number"][1])
    order["customer"] = order["customer"].where(~order.index.isin([3, 4]), 1)
    return compare(draw(1), synth | {"order": order}, ratio=2.0)


def test_every_integrity_fault_is_a_problem(doubled: dict[str, Any]) -> None:
    expected = doubled["tables"]["order"]["expected_rows"]
    assert doubled["problems"] == [
        "order: 1 rows repeat a primary key (number)",
        f"order: 1,000 rows where {expected:,.0f} are expected",
        "order: 2 rows of foreign key order.customer have no row in customer",
    ]
    assert doubled["tables"]["order"]["fk"]["order.customer"]["orphans"] == 2


@pytest.mark.slow
def test_orphans_are_no_problem_where_real_ones_are_kept(compare: Compare, draw: Draw) -> None:
    real, made = draw(1), draw(2, first=1001)
    for rows, share in ((real, 0.1), (made, 0.11)):
        order = rows["order"]
        order.loc[order.index < share * len(order), "customer"] = 99_999
    found = compare(real, made)
    link = found["tables"]["order"]["fk"]["order.customer"]
    assert found["problems"] == [] and found["summary"]["max_orphans"] == 0 and link["orphans"] > 80
    assert link["kept_orphans"] == pytest.approx([0.1, 0.11], abs=0.002)
    order = made["order"]
    order.loc[order.index < 0.3 * len(order), "customer"] = 99_999
    shares = [(t["order"]["customer"] == 99_999).mean() for t in (made, real)]
    assert shares == pytest.approx([0.3, 0.1], abs=0.002)
    assert compare(real, made)["problems"] == [
        f"order: {shares[0]:.1%} of the rows are orphans of order.customer where {shares[1]:.1%} are expected"
    ]


def test_ratio_scales_what_is_expected_of_generated_tables_only(doubled: dict[str, Any]) -> None:
    assert doubled["tables"]["customer"]["expected_rows"] == 600
    assert doubled["tables"]["country"]["expected_rows"] == 2
    degree = doubled["tables"]["customer"]["fk"]["customer.country"]["degree"]
    assert degree["scale"] == 2 and degree["mean"][1] == pytest.approx(270, abs=20)


@pytest.mark.slow
def test_tables_of_one_row_and_of_none_are_no_error(compare: Compare, draw: Draw) -> None:
    one = draw(3, customers=1)
    one["order"] = one["order"].iloc[:1]
    nothing = {t: df.iloc[:0] for t, df in draw(4).items()}
    assert compare(one, one)["tables"]["customer"]["rows"] == [1, 1]
    empty = compare(one, nothing)
    assert empty["tables"]["customer"]["columns"]["größe"]["shape"] == 0


@pytest.mark.slow
def test_pairs_are_counted_over_a_sample_and_shapes_over_all_rows(
    compare: Compare, draw: Draw, good: dict[str, Any]
) -> None:
    settings = {"max_pair_columns": 3, "sample_rows": 100}
    sampled = compare(draw(1), draw(2, first=1001), settings=settings)
    pairs = sampled["tables"]["customer"]["pairs"]
    assert len(pairs["columns"]) == 3
    assert 60 < pairs["sampled_rows"][0] < 140
    # the sample only places the points at which shapes are compared
    shapes = [m["tables"]["customer"]["columns"]["größe"]["shape"] for m in (sampled, good)]
    assert shapes[0] == pytest.approx(shapes[1], abs=0.03)


def test_associations_of_pairs_are_those_of_pandas(good: dict[str, Any], draw: Draw) -> None:
    pairs = good["tables"]["customer"]["pairs"]
    at = list(combinations(pairs["columns"], 2))
    assert pairs["information_mad"] < 0.05
    for i, (side, seed) in enumerate((("real", 1), ("synth", 2))):
        informed = dict(zip(at, pairs["information"][i], strict=True))
        assert informed["city.of birth", "größe"] > 0.4 and informed["größe", "balance"] < 0.15
        found = dict(zip(at, pairs[side], strict=True))
        customer = draw(seed)["customer"]
        wanted = customer["größe"].corr(customer["balance"].astype(float))
        assert found["größe", "balance"] == pytest.approx(wanted, abs=0.006)
        # Cramer's V: the city tells who is tall; the third city, of one row, takes a root of two from it
        assert found["city.of birth", "größe"] > 0.6 and found["city.of birth", "balance"] < 0.2


def test_flat_names_suit_a_tracking_server(good: dict[str, Any]) -> None:
    flat = flatten(good)
    assert flat["summary/score"] == good["summary"]["score"]
    assert "customer/shape_mean" in flat and "customer/shape/city.of birth" in flat
    assert all(all(c.isascii() and (c.isalnum() or c in "_/. -") for c in name) for name in flat)
    assert all(pd.notna(v) and isinstance(v, float) for v in flat.values())
