"""Some families of a table drawn again: keys and numbers of rows stay, and so do all other rows, value for value."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from spark_synth import pipeline
from spark_synth.errors import UserError
from tests.pipeline.market import KEYS, Market, check_keys, interrupted

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(1200)]
Tables = dict[str, pd.DataFrame]
WHERE = "segment = 'wholesale' AND budget > 300"


@pytest.fixture(scope="module")
def before(market: Market) -> Tables:
    """A finished database."""
    market.finish("part")
    return market.tables("part")


@pytest.fixture(scope="module")
def after(market: Market, before: Tables) -> Tables:
    """The same with some customers drawn again, which was interrupted when only they were written."""
    config = market.config("part")
    with interrupted(lambda place: not place.endswith("/customers")):
        pipeline.generate(config, table="customers", where=WHERE)
    with pytest.raises(UserError, match="customers of part is only half redrawn"):
        pipeline.generate(config, table="customers", where="budget > 1")
    pipeline.generate(config, table="customers", where=WHERE)
    return market.tables("part")


@pytest.fixture(scope="module")
def chosen(before: Tables) -> set[str]:
    """Keys of the customers that were drawn again: some, and not all."""
    customers = before["customers"]
    found = customers[(customers["segment"] == "wholesale") & (customers["budget"] > 300)]["id"]
    assert 10 < len(found) < len(customers) - 10
    return set(found)


def test_all_other_rows_stay(before: Tables, after: Tables, chosen: set[str]) -> None:
    for name in ("countries", "products", "borders"):
        pd.testing.assert_frame_equal(before[name], after[name])
    orders = set(before["orders"][before["orders"]["customer"].isin(chosen)]["id"])
    drawn_again = [("customers", "id", chosen), ("orders", "customer", chosen), ("items", "order", orders)]
    for name, column, keys in drawn_again:
        was, now = (t[name][~t[name][column].isin(keys)].reset_index(drop=True) for t in (before, after))
        pd.testing.assert_frame_equal(was, now)


def test_keys_and_numbers_of_rows_stay_and_values_do_not(before: Tables, after: Tables, chosen: set[str]) -> None:
    check_keys(after)
    for name, keys, value in (("customers", ["id"], "budget"), ("orders", ["id", "customer"], "total")):
        pd.testing.assert_frame_equal(before[name][keys], after[name][keys])
        again = before[name][keys[-1]].isin(chosen)
        assert (before[name][value] != after[name][value])[again].mean() > 0.8, name
    pd.testing.assert_frame_equal(before["items"][["order", "line"]], after["items"][["order", "line"]])


def test_targets_of_links_keep_their_degree(before: Tables, after: Tables, chosen: set[str]) -> None:
    was, now = (t["items"].groupby("sku").size().to_dict() for t in (before, after))
    assert was == now
    assert not before["items"]["sku"].equals(after["items"]["sku"])
    was, now = (t["customers"].groupby("country").size().to_dict() for t in (before, after))
    assert was == now


def test_new_rows_fit_what_stays(after: Tables, chosen: set[str]) -> None:
    """Those with many orders are wholesale customers, and these have large totals: both are drawn given what stays."""
    customers = after["customers"].set_index("id").loc[sorted(chosen)]
    assert (customers["segment"] == "wholesale").mean() > 0.8
    orders = after["orders"][after["orders"]["customer"].isin(chosen)]
    means = orders.merge(after["customers"], left_on="customer", right_on="id").groupby("segment")["total"].mean()
    assert means["wholesale"] > 400


@pytest.mark.slow
def test_what_was_drawn_in_part_can_be_drawn_again(market: Market, after: Tables) -> None:
    """In part once more, with the families of its rows; and its descendants as a whole."""
    config = market.config("part")
    pipeline.generate(config, table="orders", where="total > 500")
    again = market.tables("part")
    check_keys(again)
    pd.testing.assert_frame_equal(again["customers"], after["customers"])
    large = set(after["orders"][after["orders"]["total"] > 500]["customer"])
    both = after["orders"].merge(again["orders"], on=["id", "customer"])
    assert len(both) == len(after["orders"])
    changed = both["total_x"] != both["total_y"]
    assert changed[both["customer"].isin(large)].mean() > 0.8 and not changed[~both["customer"].isin(large)].any()
    pipeline.generate(config, table="items")
    last = market.tables("part")
    check_keys(last)
    assert last["orders"].equals(again["orders"]) and not last["items"].equals(again["items"])
    kept = market.folder / "out" / "part" / "drawn"
    assert {p.name for p in kept.iterdir()} == {"customers-1", "orders-2"}
    pipeline.evaluate(config)
    assert market.manifest("part")["problems"] == []


def test_conditions_that_cannot_be_are_refused(market: Market, before: Tables) -> None:
    config = market.config("part")

    def refused(message: str, **asked: Any) -> None:  # noqa: ANN401
        with pytest.raises(UserError, match=message):
            pipeline.generate(config, **asked)

    refused("--where 'size > 3': not a condition on columns of customers: .*size", table="customers", where="size > 3")
    refused("--where 'budget >': not a condition", table="customers", where="budget >")
    refused("--where 'budget > 5000': no row of customers is so", table="customers", where="budget > 5000")
    refused("pass --table NAME", where="budget > 3")
    for name in KEYS:
        assert len(market.tables("part")[name]) == len(before[name])
