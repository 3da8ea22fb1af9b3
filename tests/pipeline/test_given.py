"""Rows that the user gives: they come through as they are, and what is made below hangs on what they are like."""

from __future__ import annotations

import uuid
from pathlib import Path

import pandas as pd
import pytest

from spark_synth import pipeline
from spark_synth.cli import main
from spark_synth.errors import UserError
from tests.pipeline.market import Market, check_keys

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(1200)]
Tables = dict[str, pd.DataFrame]
EACH = 60


@pytest.fixture(scope="module")
def given(market: Market) -> pd.DataFrame:
    """Customers that are alike but for their segment; one has a segment and one a budget as nobody has."""
    rows = pd.DataFrame({"country": [f"C{i % 8}" for i in range(2 * EACH)], "budget": 500})
    rows["segment"] = ["wholesale", "retail"] * EACH
    rows["id"] = [str(uuid.uuid5(uuid.NAMESPACE_DNS, str(i))) for i in range(len(rows))]
    rows.loc[0, "segment"], rows.loc[1, "budget"] = "charity", 10**6
    rows.to_parquet(market.folder / "given.parquet", index=False)
    return rows[["id", "country", "segment", "budget"]]


@pytest.fixture(scope="module")
def made(market: Market, given: pd.DataFrame) -> Tables:
    rows = {"generate__given": f"{{customers: {market.folder / 'given.parquet'}}}"}
    pipeline.generate(market.config("given", generate__partitions=3, **rows))
    return market.tables("given")


def test_given_rows_come_through_as_they_are(market: Market, given: pd.DataFrame, made: Tables) -> None:
    pd.testing.assert_frame_equal(made["customers"], given.sort_values("id", ignore_index=True))
    check_keys(made)
    entry = market.manifest("given")["tables"]["customers"]
    assert (entry["given"], entry["rows"]) == (str(market.folder / "given.parquet"), len(given))


def test_families_are_as_the_rows_they_hang_on(made: Tables) -> None:
    """Real wholesale customers have 6 to 11 orders of 500 and more, retail ones up to 2 of less than 90."""
    orders = made["orders"].merge(made["customers"], left_on="customer", right_on="id")
    degrees = made["customers"]["id"].map(orders.groupby("customer").size()).fillna(0)
    of = degrees.groupby(made["customers"]["segment"]).mean()
    assert 6 <= of["wholesale"] <= 11 and of["retail"] <= 2
    totals = orders.groupby("segment")["total"].median()
    assert totals["wholesale"] > 400 and totals["retail"] < 200
    assert len(made["items"]) / len(made["orders"]) == pytest.approx(2, abs=0.3)  # whatever the ratio of the whole


@pytest.mark.slow
def test_partitions_do_not_change_given_families(market: Market, made: Tables) -> None:
    rows = {"generate__given": f"{{customers: {market.folder / 'given.parquet'}}}"}
    pipeline.generate(market.config("given1", generate__partitions=1, **rows))
    for name, table in market.tables("given1").items():
        pd.testing.assert_frame_equal(table, made[name])


@pytest.mark.slow
def test_rows_with_an_owner_and_links_may_be_given_too(market: Market, given: pd.DataFrame, tmp_path: Path) -> None:
    real = market.folder / "real"
    rows = {t: f"{real}/{t}.parquet" for t in ("customers", "products", "orders")}
    pipeline.generate(market.config("orders", generate__given=str(rows)))
    made = market.tables("orders")
    check_keys(made)
    orders = pd.read_parquet(real / "orders.parquet").sort_values("id", ignore_index=True)
    pd.testing.assert_frame_equal(made["orders"], orders, check_dtype=False)
    assert len(made["items"]) / len(orders) == pytest.approx(2, abs=0.3)


def test_what_cannot_be_given_is_refused(
    market: Market, given: pd.DataFrame, made: Tables, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(table: str, path: object, message: str) -> None:
        with pytest.raises(UserError, match=message):
            pipeline.generate(market.config("refused", generate__given=f"{{{table}: {path}}}"))

    there = market.folder / "given.parquet"
    refused("clients", there, "'clients' is not a table")
    refused("countries", there, "the real rows of countries are kept")
    refused("orders", there, "orders hangs on customers, whose rows are new; give customers too")
    refused("customers", there.with_name("none"), "none does not exist")
    bad = market.folder / "bad.csv"
    for frame, message in (
        (given.drop(columns="budget"), "bad.csv has no column budget"),
        (given.assign(budget="much"), "120 values of budget are not of type"),
        (given.assign(id=given["id"].where(given.index > 2)), "primary key .id. is NULL in 3 rows"),
        (pd.concat([given, given.head(2)]), "primary key .id. is that of another row in 2 rows"),
        (given.assign(country="nowhere"), "120 rows have a .country. that no row of countries has"),
    ):
        frame.to_csv(bad, index=False)
        refused("customers", bad, message)
    assert main(["generate", "--conf", "x.yaml", "--given", "customers"]) == 2
    assert "--given: write it as TABLE=PATH" in capsys.readouterr().err
