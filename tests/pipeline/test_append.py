"""Waves that are added to a finished database: their keys are new, what was there stays, nothing is written twice."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from spark_synth import pipeline
from spark_synth.errors import UserError
from tests.pipeline.market import KEYS, Market, check_keys, interrupted

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(1200)]
Tables = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def before(market: Market) -> Tables:
    """A database as it is before anything is appended."""
    market.finish("waves")
    return market.tables("waves")


@pytest.fixture(scope="module")
def after(market: Market, before: Tables) -> Tables:
    """The same with a wave of half the size, which was interrupted: some of its tables were written, orders was not."""
    config = market.config("waves", generate__ratio=0.5)
    with interrupted(lambda place: place.endswith("/orders")):
        pipeline.generate(config, append=True)
    with pytest.raises(UserError, match="wave 1 of waves is unfinished and was begun with another ratio"):
        pipeline.generate(market.config("waves"), append=True)
    with pytest.raises(UserError, match="wave 1 of waves is unfinished: repeat generate --append first"):
        pipeline.evaluate(config)
    pipeline.generate(config, append=True)
    return market.tables("waves")


def test_a_wave_has_new_keys_and_leaves_what_was_there(before: Tables, after: Tables) -> None:
    check_keys(after)
    for name, keys in KEYS.items():
        old = after[name].merge(before[name][keys], on=keys)
        pd.testing.assert_frame_equal(old.sort_values(keys, ignore_index=True), before[name])
    assert len(after["countries"]) == len(before["countries"])
    for name in ("customers", "products", "orders", "items"):
        assert len(after[name]) == pytest.approx(1.5 * len(before[name]), rel=0.05), name
    orders = after["orders"]["id"]
    assert orders.max() - orders.min() + 1 == len(orders)


def test_a_wave_links_inside_itself_and_to_kept_rows(before: Tables, after: Tables) -> None:
    old = {name: set(before[name][keys[0]]) for name, keys in KEYS.items()}
    orders, items = after["orders"], after["items"]
    assert ((orders["id"].isin(old["orders"])) == orders["customer"].isin(old["customers"])).all()
    assert ((items["order"].isin(old["orders"])) == items["sku"].isin(old["products"])).all()
    new = after["customers"][~after["customers"]["id"].isin(old["customers"])]
    assert new["country"].nunique() > 1
    assert new["budget"].tolist() != before["customers"]["budget"].head(len(new)).tolist()


def test_pairs_of_kept_rows_that_are_there_are_left_out(market: Market, before: Tables, after: Tables) -> None:
    added = len(after["borders"]) - len(before["borders"])
    assert 0 <= added < round(len(before["borders"]) / 2)
    assert market.manifest("waves")["waves"][1]["tables"]["borders"]["rows"] == added


def test_the_manifest_tells_the_waves(market: Market, after: Tables) -> None:
    manifest = market.manifest("waves")
    waves = manifest["waves"]
    told = [{k: w[k] for k in ("wave", "seed", "ratio", "state")} for w in waves]
    assert told == [{"wave": n, "seed": 0, "ratio": r, "state": "written"} for n, r in ((0, 1.0), (1, 0.5))]
    for name, table in after.items():
        assert manifest["tables"][name]["rows"] == sum(w["tables"][name]["rows"] for w in waves) == len(table)
    assert manifest["state"] == "generated"


def test_what_cannot_be_appended_to_is_refused(market: Market, after: Tables) -> None:
    def refused(config: Any, message: str, run_id: str | None = None) -> None:  # noqa: ANN401
        with pytest.raises(UserError, match=message):
            pipeline.generate(config, run_id, append=True)

    refused(market.config(None), "--append needs the name of a generated database: pass --identifier NAME")
    refused(market.config("nowhere"), "--append: no generated database in .*nowhere: check output and --identifier")
    refused(market.config("waves"), f"was generated with run {market.run_id}, not with another", "another")
    refused(market.config("waves", model__hidden=64), "asks for another training: name that run with --run")
    refused(market.config("waves", generate__preserve_tables="[products]"), "with other preserved tables")
    path = market.folder / "out" / "half" / "manifest.json"
    path.parent.mkdir()
    path.write_text(json.dumps({**market.manifest("waves"), "state": "started"}))
    refused(market.config("half"), "half is not finished: run the same command without --append first")
