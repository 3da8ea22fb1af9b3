"""Associations over several foreign keys: those of pandas, along the right keys, lost where links are dealt anew."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame

from spark_synth.evaluation.ancestors import Path, evaluate_ancestors, long_paths
from spark_synth.evaluation.association import evaluate_association
from spark_synth.evaluation.profile import look
from spark_synth.schema import Schema

Frames = Callable[..., dict[str, DataFrame]]
TYPES = {
    "firm": "id int, size double",
    "shop": "id int, firm int, town string",
    "till": "id int, shop int, other int, age double",
    "sale": "id int, till int, amount double",
}


def chain() -> Schema:
    """Four tables in a row; a till has a second key into the shops."""
    schema = Schema()
    schema.add_table("firm", "id", {"size": "numeric"})
    schema.add_table("shop", "id", {"town": "categorical"})
    schema.add_table("till", "id", {"age": "numeric"})
    schema.add_table("sale", "id", {"amount": "numeric"})
    schema.add_foreign_key("shop.firm", "firm.id").add_foreign_key("till.shop", "shop.id")
    return schema.add_foreign_key("till.other", "shop.id").add_foreign_key("sale.till", "till.id")


def rows(seed: int) -> dict[str, pd.DataFrame]:
    """What a sale amounts to goes with the size of the firm three keys above it."""
    rng = np.random.default_rng(seed)
    firm = pd.DataFrame({"id": np.arange(40), "size": rng.normal(10, 3, 40)})
    shop = pd.DataFrame({"id": np.arange(120), "firm": rng.integers(0, 40, 120)})
    shop["town"] = np.where(firm["size"].to_numpy()[shop["firm"]] > 10, "city", "village")
    till = pd.DataFrame({"id": np.arange(300), "shop": rng.integers(0, 120, 300), "other": rng.integers(0, 120, 300)})
    till["age"] = rng.normal(5, 1, 300)
    sale = pd.DataFrame({"id": np.arange(2000), "till": rng.integers(0, 300, 2000)})
    size = firm["size"].to_numpy()[shop["firm"].to_numpy()[till["shop"].to_numpy()[sale["till"]]]]
    sale["amount"] = size + rng.normal(0, 2, 2000)
    return {"firm": firm, "shop": shop, "till": till, "sale": sale}


def test_paths_are_all_there_the_shorter_ones_first() -> None:
    paths = long_paths(chain(), kept={"shop"})
    assert [p.tables for p in paths] == [
        ["till", "shop", "firm"],
        ["till", "shop", "firm"],
        ["sale", "till", "shop"],
        ["sale", "till", "shop"],
        ["sale", "till", "shop", "firm"],
        ["sale", "till", "shop", "firm"],
    ]
    assert [fk.name for fk in paths[-1].keys] == ["sale.till", "till.other", "shop.firm"]
    looped = chain().add_foreign_key("firm.best", "sale.id").add_foreign_key("sale.before", "sale.id")
    assert all(len(set(p.tables)) == len(p.tables) for p in long_paths(looped, set()))


def test_associations_are_those_of_pandas_and_fall_with_the_links(frames: Frames) -> None:
    real, synth = rows(1), rows(1)
    synth["till"]["shop"] = np.random.default_rng(5).permutation(synth["till"]["shop"])
    sides, schema = (frames(real, TYPES), frames(synth, TYPES)), chain()
    profiles = {t: look(sides[0][t], sides[1][t], schema.tables[t], 10_000) for t in ("sale", "firm")}

    def associations(path: Path) -> dict[str, Any] | None:
        if path.tables[-1] != "firm" or path.table != "sale":
            return None
        return evaluate_association(
            *sides, schema, path.table, path.keys, profiles, max_pair_columns=40, sample_rows=10_000
        )

    with ThreadPoolExecutor(2) as pool:
        found = evaluate_ancestors(schema, set(), associations, pool)
    far, other = found["paths"]
    assert far["keys"] == ["sale.till", "till.shop", "shop.firm"] and other["keys"][1] == "till.other"
    joined = real["sale"].merge(real["till"], left_on="till", right_on="id")
    joined = joined.merge(real["shop"], left_on="shop", right_on="id")
    joined = joined.merge(real["firm"], left_on="firm", right_on="id", suffixes=("", "_of_firm"))
    [worst] = far["worst"]
    assert worst["real"] == pytest.approx(abs(joined["amount"].corr(joined["size"])), abs=1e-6) and worst["real"] > 0.7
    assert far["score"] < 0.4 and far["hops"] == 3 and far["path"] == ["sale", "till", "shop", "firm"]
    assert other["score"] is None  # nothing ties a sale to the firm of the other shop
    assert found["hop3"] == far["score"] and found["hop2"] is None and found["left_out"] == 0
