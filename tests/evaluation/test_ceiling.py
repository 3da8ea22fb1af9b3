"""Halves of a database: whole families, valid keys, every row once; and the scores that one has against the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import DataFrame

from spark_synth.evaluation import find_ceiling, write_report
from spark_synth.evaluation.halves import halves
from spark_synth.schema import Schema
from tests.evaluation.conftest import OWNERS, Settings, shop, shop_schema

Frames = Callable[[dict[str, pd.DataFrame]], dict[str, DataFrame]]


@pytest.fixture(scope="module")
def real(frames: Frames) -> dict[str, DataFrame]:
    """The shop, with an order that nobody owns."""
    tables = shop(1)
    tables["order"]["customer"] = tables["order"]["customer"].astype(object).where(tables["order"].index > 0, None)
    return frames(tables)


def keys(side: Mapping[str, DataFrame], table: str, column: str) -> list[Any]:
    return [r[0] for r in side[table].select(column).collect()]


def test_families_stay_whole_and_every_row_is_in_one_half(real: dict[str, DataFrame], tmp_path: Path) -> None:
    cut = halves(real, shop_schema(), OWNERS, str(tmp_path), seed=3)
    assert cut.whole == {"country"}
    for table, key in (("customer", "id"), ("order", "number")):
        parts = [keys(side, table, key) for side in (cut.one, cut.other)]
        assert sorted(parts[0] + parts[1]) == sorted(keys(real, table, key))
        assert 0.4 < len(parts[0]) / len(parts[0] + parts[1]) < 0.6
        assert cut.one[table].dtypes == real[table].dtypes
    for side in (cut.one, cut.other):
        assert set(keys(side, "order", "customer")) - {None} <= set(keys(side, "customer", "id"))
        assert keys(side, "country", "code") == keys(real, "country", "code")
    for folder in ("again", "again"):  # the second time they are there
        again = halves(real, shop_schema(), OWNERS, str(tmp_path / folder), seed=3)
        assert sorted(keys(again.one, "order", "number")) == sorted(keys(cut.one, "order", "number"))


def test_a_table_that_is_only_linked_to_stays_whole(frames: Frames, tmp_path: Path) -> None:
    """Without `reference`, countries own nothing if customers are no sequences below them."""
    schema = shop_schema()
    schema.tables["country"].reference = False
    assert halves(frames(shop(1)), schema, OWNERS, str(tmp_path), seed=0).whole == {"country"}
    owners = OWNERS | {"customer": "customer.country"}
    cut = halves(frames(shop(1)), schema, owners, str(tmp_path / "owned"), seed=1)
    assert cut.whole == set()
    for side in (cut.one, cut.other):
        assert set(keys(side, "customer", "country")) - {None} <= set(keys(side, "country", "code"))


def test_the_ceiling_is_high_and_in_the_report(
    real: dict[str, DataFrame], good: dict[str, Any], tmp_path: Path
) -> None:
    schema: Schema = shop_schema()
    best = find_ceiling(halves(real, schema, OWNERS, str(tmp_path / "halves"), 3), schema, OWNERS, Settings())
    assert 80 < best["summary"]["score"] < 100 and best["whole"] == ["country"]
    assert set(best["tables"]) == {"customer", "order"}
    assert 0.8 < best["tables"]["order"]["shape_mean"] < 1
    assert best["tables"]["order"]["fk"]["order.customer"]["degree_ks"] < 0.2
    page = write_report({**good, "ceiling": best}, tmp_path, {"identifier": "x"}).read_text(encoding="utf-8")
    assert f"another real sample: {best['summary']['score']:.1f}" in page
    assert good["summary"]["score"] == pytest.approx(best["summary"]["score"], abs=5)  # it is another sample
    assert page.count(">of 0.") >= 6  # the four parts, and two scores of a table
