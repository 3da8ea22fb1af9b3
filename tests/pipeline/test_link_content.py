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

pytestmark = pytest.mark.e2e

CONF = Path(__file__).resolve().parents[2] / "conf" / "local.yaml"
USERS, ITEMS, KINDS = 800, 240, 3
Tables = dict[str, pd.DataFrame]


def real() -> Tables:
    """Users of three groups, who mostly take items of the kind of their group, and score them by quality, which
    most rows repeat."""
    rng = np.random.default_rng(5)
    group, kind = rng.integers(0, KINDS, USERS), rng.integers(0, KINDS, ITEMS)
    quality, weight = rng.normal(0, 1, ITEMS).round(2), rng.gamma(1.5, 1, ITEMS)
    rows = []
    for user in range(USERS):
        p = weight * np.where(kind == group[user], 8.0, 1.0)
        taken = rng.choice(ITEMS, int(rng.integers(2, 14)), replace=False, p=p / p.sum())
        listed = quality[taken] * np.where(rng.random(len(taken)) < 0.7, 1.0, 0.8)
        scores = np.round(50 + 10 * quality[taken] + rng.normal(0, 4, len(taken)))
        rows += [(user, *row) for row in zip(taken, scores, listed.round(3), strict=True)]
    return {
        "users": pd.DataFrame({"id": np.arange(USERS), "band": [f"g{g}" for g in group]}),
        "items": pd.DataFrame({"id": np.arange(ITEMS), "kind": [f"k{k}" for k in kind], "quality": quality}),
        "takes": pd.DataFrame(rows, columns=["user", "item", "score", "listed"]),
    }


def figures(tables: Tables) -> tuple[float, float]:
    """(share of rows whose item is of the kind of the user's group, correlation of score and quality)."""
    joined = tables["takes"].merge(tables["users"], left_on="user", right_on="id")
    joined = joined.merge(tables["items"], left_on="item", right_on="id")
    own = joined["band"].str[1:] == joined["kind"].str[1:]
    return float(own.mean()), float(np.corrcoef(joined["score"].astype(float), joined["quality"].astype(float))[0, 1])


EDGES_FIRST = {"model.edges_first": True, "model.edges": "block"}


@pytest.fixture(scope="module", params=[{}, EDGES_FIRST], ids=["owner first", "edges first"])
def both(
    request: pytest.FixtureRequest, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Tables, Tables]:
    folder = tmp_path_factory.mktemp("content")
    tables = real()
    schema = Schema().add_table("users", "id", {"band": "categorical"})
    schema.add_table("items", "id", {"kind": "categorical", "quality": "numeric"})
    schema.add_table("takes", ["user", "item"], {"score": "numeric", "listed": "numeric"})
    schema.add_foreign_key("takes.user", "users.id").add_foreign_key("takes.item", "items.id")
    for name, rows in tables.items():
        rows.to_parquet(folder / f"{name}.parquet", index=False)
    save_schema(schema, folder / "schema.yaml")
    options = {
        "source.path": folder,
        "schema": folder / "schema.yaml",
        "output": folder / "out",
        "train.max_epochs": 40,
        **request.param,
    }
    config = load_config(CONF, [f"{k}={v}" for k, v in options.items()], identifier="made")
    pipeline.train(config)
    made = pipeline.generate(config) / "tables"
    return tables, {t: DeltaTable(made / t).to_pandas() for t in tables}


def test_links_lead_where_they_should(both: tuple[Tables, Tables]) -> None:
    (own, _), (made, _) = map(figures, both)
    assert own > 0.7 and made > 0.5  # one in three by chance


def test_rows_say_of_their_target_what_they_should(both: tuple[Tables, Tables]) -> None:
    (_, tied), (_, made) = map(figures, both)
    assert tied > 0.85 and made > 0.6 * tied  # 0 by chance; 240 items are few to learn from


def test_what_mostly_repeats_the_target_does_so_as_often(both: tuple[Tables, Tables]) -> None:
    shares, tied = zip(*map(_repeated, both), strict=True)
    assert shares[0] > 0.6 and shares[1] == pytest.approx(shares[0], abs=0.05)
    assert tied[0] > 0.95 and tied[1] > 0.9


def _repeated(tables: Tables) -> tuple[float, float]:
    """(share of rows that say of their item what it says, correlation of the two)."""
    joined = tables["takes"].merge(tables["items"], left_on="item", right_on="id")
    listed, quality = joined["listed"].astype(float), joined["quality"].astype(float)
    return float(np.isclose(listed, quality, atol=1e-3).mean()), float(np.corrcoef(listed, quality)[0, 1])


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
