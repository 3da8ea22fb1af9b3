"""One table of a finished database drawn again, with all that hangs on it: the rest stays, and every key is valid."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pandas as pd
import pytest
from deltalake import DeltaTable

from spark_synth import pipeline
from spark_synth.errors import UserError
from tests.pipeline.market import KEYS, Market, check_keys, interrupted

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(1200)]
Tables = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def before(market: Market) -> Tables:
    """A finished database."""
    market.finish("redrawn")
    return market.tables("redrawn")


@pytest.fixture(scope="module")
def after(market: Market, before: Tables) -> Tables:
    """The same with its orders drawn again, which was interrupted when only their items were written."""
    config, changes = market.config("redrawn"), list[dict[str, Any]]([{"table": "customers"}, {"append": True}, {}])
    with interrupted(lambda place: place.endswith("/orders")):
        pipeline.generate(config, table="orders")
    unfinished = "orders of redrawn is only half redrawn: repeat generate --table orders first"
    for asked in changes:
        with pytest.raises(UserError, match=unfinished):
            pipeline.generate(config, **asked)
    with pytest.raises(UserError, match=unfinished):
        pipeline.evaluate(config)
    pipeline.generate(config, table="orders")
    return market.tables("redrawn")


def test_the_table_and_what_hangs_on_it_are_new(before: Tables, after: Tables) -> None:
    check_keys(after)
    for name in KEYS:
        same = after[name].equals(before[name])
        assert same == (name not in ("orders", "items")), name
    assert len(after["orders"]) == len(before["orders"])  # how many a customer has is drawn with the customer
    was, now = (t["orders"].groupby("customer").size().to_dict() for t in (before, after))
    assert was == now


def test_new_rows_are_as_faithful_to_their_owners(before: Tables, after: Tables) -> None:
    """Totals of wholesale customers are some ten times those of others."""
    for tables in (before, after):
        orders = tables["orders"].merge(tables["customers"], left_on="customer", right_on="id")
        means = orders.groupby("segment")["total"].mean()
        assert means["wholesale"] > 5 * means["retail"]


def test_every_redraw_differs_and_any_table_can_follow(market: Market, after: Tables) -> None:
    config = market.config("redrawn")
    pipeline.generate(config, table="orders")
    again = market.tables("redrawn")
    assert not again["orders"].equals(after["orders"])
    pipeline.generate(config, table="items")
    items = market.tables("redrawn")
    assert items["orders"].equals(again["orders"]) and not items["items"].equals(again["items"])
    check_keys(items)
    manifest = market.manifest("redrawn")
    told = [(r["number"], r["table"], r["state"], sorted(r["tables"])) for r in manifest["redraws"]]
    both = ["items", "orders"]
    assert told == [(1, "orders", "written", both), (2, "orders", "written", both), (3, "items", "written", ["items"])]
    for name, table in items.items():
        assert manifest["tables"][name]["rows"] == len(table)
    pipeline.evaluate(config)
    assert market.manifest("redrawn")["problems"] == []


def test_a_wave_may_follow(market: Market, before: Tables) -> None:
    market.finish("followed")
    config = market.config("followed")
    pipeline.generate(config, table="customers")
    first = market.tables("followed")
    pipeline.generate(config, append=True)
    both = market.tables("followed")
    check_keys(both)
    for name, keys in KEYS.items():
        old = both[name].merge(first[name][keys], on=keys)
        pd.testing.assert_frame_equal(old.sort_values(keys, ignore_index=True), first[name])
    with pytest.raises(UserError, match="--table orders: rows were appended to followed"):
        pipeline.generate(config, table="orders")


def test_what_cannot_be_drawn_again_is_refused(market: Market, before: Tables) -> None:
    config = market.config("redrawn")
    with pytest.raises(UserError, match="--table: redrawn has no table 'order' .tables: "):
        pipeline.generate(config, table="order")
    with pytest.raises(UserError, match="--table countries: its rows are not generated, but kept or given"):
        pipeline.generate(config, table="countries")
    with pytest.raises(UserError, match="use one of them"):
        pipeline.generate(config, table="orders", append=True)


def test_tables_that_were_changed_are_not_built_upon(market: Market, before: Tables) -> None:
    """What hangs on them was drawn given rows that are there no more; nothing is written."""
    market.finish("changed")
    config = market.config("changed")
    folder = market.folder / "out" / "changed"
    shutil.rmtree(folder / "tables" / "customers")
    shutil.copytree(market.folder / "out" / "redrawn" / "tables" / "orders", folder / "tables" / "customers")
    with pytest.raises(UserError, match="--table: rows of customers are not those that were generated"):
        pipeline.generate(config, table="orders")
    assert DeltaTable(folder / "tables" / "orders").version() == 0
    assert "redraws" not in json.loads((folder / "manifest.json").read_text())
