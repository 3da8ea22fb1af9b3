"""What links mean survives: who links to what, what a row says of both ends, pairs that occur once, degrees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from spark_synth import pipeline
from spark_synth.config import load_config
from spark_synth.schema import Schema, save_schema
from tests.places import CONF

pytestmark = [pytest.mark.slow, pytest.mark.e2e]

USERS, ITEMS, KINDS = 800, 240, 3
Tables = dict[str, pd.DataFrame]


def real() -> Tables:
    """Users of three groups, who mostly take items of the kind of their group, and score them by quality."""
    rng = np.random.default_rng(5)
    group, kind = rng.integers(0, KINDS, USERS), rng.integers(0, KINDS, ITEMS)
    quality, weight = rng.normal(0, 1, ITEMS).round(2), rng.gamma(1.5, 1, ITEMS)
    rows = []
    for user in range(USERS):
        p = weight * np.where(kind == group[user], 8.0, 1.0)
        taken = rng.choice(ITEMS, int(rng.integers(2, 14)), replace=False, p=p / p.sum())
        rows += [(user, item, round(50 + 10 * quality[item] + rng.normal(0, 4))) for item in taken]
    return {
        "users": pd.DataFrame({"id": np.arange(USERS), "band": [f"g{g}" for g in group]}),
        "items": pd.DataFrame({"id": np.arange(ITEMS), "kind": [f"k{k}" for k in kind], "quality": quality}),
        "takes": pd.DataFrame(rows, columns=["user", "item", "score"]),
    }


def figures(tables: Tables) -> tuple[float, float]:
    """(share of rows whose item is of the kind of the user's group, correlation of score and quality)."""
    joined = tables["takes"].merge(tables["users"], left_on="user", right_on="id")
    joined = joined.merge(tables["items"], left_on="item", right_on="id")
    own = joined["band"].str[1:] == joined["kind"].str[1:]
    return float(own.mean()), float(np.corrcoef(joined["score"].astype(float), joined["quality"].astype(float))[0, 1])


EDGES_FIRST = {"model.edges_first": True, "model.edges": "block"}


WAYS = [pytest.param({}, id="owner first"), pytest.param(EDGES_FIRST, id="edges first")]


@pytest.fixture(scope="module", params=WAYS)
def both(
    request: pytest.FixtureRequest, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Tables, Tables]:
    tables = real()
    schema = Schema().add_table("users", "id", {"band": "categorical"})
    schema.add_table("items", "id", {"kind": "categorical", "quality": "numeric"})
    schema.add_table("takes", ["user", "item"], {"score": "numeric"})
    schema.add_foreign_key("takes.user", "users.id").add_foreign_key("takes.item", "items.id")
    return tables, _made(schema, tables, tmp_path_factory.mktemp("content"), {"train.max_epochs": 40, **request.param})


def _made(schema: Schema, tables: Tables, folder: Path, changes: dict[str, object]) -> Tables:
    """A synthetic copy of `tables`."""
    for name, rows in tables.items():
        rows.to_parquet(folder / f"{name}.parquet", index=False)
    save_schema(schema, folder / "schema.yaml")
    options = {"source.path": folder, "schema": folder / "schema.yaml", "output": folder / "out", **changes}
    config = load_config(CONF, [f"{k}={v}" for k, v in options.items()], identifier="made")
    pipeline.train(config)
    made = pipeline.generate(config) / "tables"
    return {t: DeltaTable(made / t).to_pandas() for t in tables}


def test_links_lead_where_they_should(both: tuple[Tables, Tables]) -> None:
    (own, _), (made, _) = map(figures, both)
    assert own > 0.7 and made > 0.5  # one in three by chance


def test_rows_say_of_their_target_what_they_should(both: tuple[Tables, Tables]) -> None:
    (_, tied), (_, made) = map(figures, both)
    assert tied > 0.85 and made > 0.7 * tied


def test_pairs_occur_once_and_degrees_are_kept(both: tuple[Tables, Tables]) -> None:
    original, made = (t["takes"] for t in both)
    assert len(made) == pytest.approx(len(original), rel=0.01)
    assert not made.duplicated(["user", "item"]).any()
    for column in ("user", "item"):
        below = [
            np.searchsorted(np.sort(t[column].value_counts()), np.arange(200), side="right") for t in (original, made)
        ]
        shares = [b / b[-1] for b in below]
        assert np.abs(shares[0] - shares[1]).max() <= 0.05


def test_what_mostly_repeats_the_target_does_so_as_often(spark: SparkSession, tmp_path: Path) -> None:
    """Lines that have the price of their product in 7 of 10 cases, else 0.8 of it."""
    rng = np.random.default_rng(6)
    price, product = rng.gamma(4, 5, 400).round(2), rng.integers(0, 400, 3000)
    paid = (price[product] * np.where(rng.random(len(product)) < 0.7, 1.0, 0.8)).round(2)
    tables = {
        "products": pd.DataFrame({"id": np.arange(400), "price": price}),
        "lines": pd.DataFrame({"id": np.arange(len(product)), "product": product, "paid": paid}),
    }
    schema = Schema().add_table("products", "id", {"price": "numeric"}).add_table("lines", "id", {"paid": "numeric"})
    schema.add_foreign_key("lines.product", "products.id", owner=False)
    made = _made(schema, tables, tmp_path, {"train.max_epochs": 10})
    shares, tied = zip(*map(_repeated, (tables, made)), strict=True)
    assert shares[0] > 0.65 and shares[1] == pytest.approx(shares[0], abs=0.05)
    assert tied[0] > 0.95 and tied[1] > 0.9


def _repeated(tables: Tables) -> tuple[float, float]:
    """(share of lines with the price of their product, correlation of the two)."""
    joined = tables["lines"].merge(tables["products"], left_on="product", right_on="id")
    paid, price = joined["paid"].astype(float), joined["price"].astype(float)
    return float(np.isclose(paid, price, atol=1e-3).mean()), float(np.corrcoef(paid, price)[0, 1])
