"""From rows to packs: positions, gaps, degrees, conditions; no row lost, no family on both sides of the split."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from spark_synth.encoding.fit import LONG
from spark_synth.encoding.plan import TablePlan
from spark_synth.feed import PackShape, read_packs
from spark_synth.schema import Schema
from tests.encoding.fitting import fitted_to

Packs = list[dict[str, Any]]
SEGMENT_ROWS = 50


@pytest.fixture(scope="module")
def rows(spark: SparkSession, encoded: Any) -> pd.DataFrame:  # noqa: ANN401
    """Sales in family order, without pandas turning NULL keys into numbers."""
    frame: pd.DataFrame = encoded.fitted.frame(spark, "sales").toPandas()
    frame["family"] = [f"{shop}/{none}" for shop, none in zip(frame["shop"], frame["__null"], strict=True)]
    return frame.sort_values(["family", "__pos"], ignore_index=True)


def test_plans_survive_json(encoded: Any) -> None:  # noqa: ANN401
    for plan in encoded.fitted.plans.values():
        text = json.dumps(plan.to_json())
        again = TablePlan.from_json(json.loads(text))
        assert json.dumps(again.to_json()) == text
        assert [type(c) for v in again.values for c in v.codecs] == [type(c) for v in plan.values for c in v.codecs]
        assert (again.given, again.owner, again.links) == (plan.given, plan.owner, plan.links)


def test_positions_follow_time_and_gaps_add_up(rows: pd.DataFrame) -> None:
    for _, family in rows.groupby("family"):
        assert family["__pos"].tolist() == list(range(len(family)))
        assert (family["__n"] == len(family)).all()
        assert family["__t"].is_monotonic_increasing
        assert family["__dt"].isna().tolist() == [True] + [False] * (len(family) - 1)
        assert family["__t"].iloc[0] + family["__dt"].fillna(0).sum() == family["__t"].iloc[-1]
        assert family["__split"].nunique() == 1
        assert (family["__t0"].iloc[0], family["__t1"].iloc[0]) == (family["__t"].min(), family["__t"].max())


def test_rows_without_an_owner_are_families_too(rows: pd.DataFrame, encoded: Any) -> None:  # noqa: ANN401
    loose = rows[rows["shop"].isna()]
    assert len(loose) == encoded.fitted.plans["sales"].owner.null_rows == 12
    assert loose["__null"].notna().all() and rows[rows["shop"].notna()]["__null"].isna().all()


def test_parents_carry_degrees(spark: SparkSession, encoded: Any) -> None:  # noqa: ANN401
    plan = encoded.fitted.plans["shops"]
    real = Counter(encoded.sales["shop"].dropna())
    found = {r["id"]: r["__deg_0"] for r in encoded.fitted.frame(spark, "shops").select("id", "__deg_0").collect()}
    assert found == {i: real[i] for i in range(80)}
    (degree,) = plan.degrees
    assert dict(degree.histogram) == dict(Counter(found.values()))
    assert degree.total == sum(real.values()) and not degree.unique


def test_few_families_have_coarse_summaries(encoded: Any) -> None:  # noqa: ANN401
    found = {s.stat: s.codec for s in encoded.fitted.plans["shops"].summaries if s.column == "amount"}
    families = (encoded.sales.dropna().groupby("shop").size() > 0).sum()
    for stat in ("mean", "spread"):
        assert 2 <= len(found[stat].bins) <= round(families ** (1 / 3))


@pytest.mark.parametrize("each", [2, LONG])
def test_means_of_long_families_have_long_tails(spark: SparkSession, tmp_path: Path, each: int) -> None:
    levels = spark.createDataFrame(pd.DataFrame({"level": np.random.default_rng(0).lognormal(0, 1.2, 300)}))
    shops = levels.selectExpr("cast(row_number() over (order by level) as int) id", "level").cache()
    sales = shops.crossJoin(spark.range(each).withColumnRenamed("id", "n"))
    schema = Schema()
    schema.add_table("shops", "id", {})
    schema.add_table("sales", "no", {"shop": "key", "amount": "numeric"})
    schema.add_foreign_key("sales.shop", "shops.id")
    tables = {
        "shops": shops.select("id"),
        "sales": sales.selectExpr(f"cast(id * {each} + n as int) no", "id shop", "level amount"),
    }
    plan = fitted_to(spark, schema, tables, tmp_path).plans["shops"]
    (mean,) = [s.codec for s in plan.summaries if s.stat == "mean"]
    coarse = round(300 ** (1 / 3))
    assert len(mean.bins) == coarse if each < LONG else len(mean.bins) > coarse


def test_the_date_without_nulls_orders_the_family(encoded: Any) -> None:  # noqa: ANN401
    time = encoded.fitted.plans["sales"].time
    assert (time.column, time.type, time.unit) == ("day", "date", 1)
    assert len(time.profile) and np.all(np.diff(time.profile) >= 0)


def test_packs_hold_every_row_once_and_no_family_twice(rows: pd.DataFrame, encoded: Any) -> None:  # noqa: ANN401
    plan, one = encoded.fitted.plans["sales"], encoded.sets["sales"]
    sides = {
        side: read_packs(f"{one.path}/split={side}", PackShape(len(plan.cards), len(plan.context_cards)), 10**9)
        for side in ("train", "holdout")
    }
    count = {side: sum(p.rows for p in packs) for side, packs in sides.items()}
    assert count == {"train": one.train_rows, "holdout": one.holdout_rows}
    assert sum(count.values()) == len(rows) == plan.rows
    held = rows["__split"] < 200
    assert int(held.sum()) == count["holdout"]
    for side, chosen in (("train", rows[~held]), ("holdout", rows[held])):
        expected = Counter()  # type: ignore[var-annotated]
        for _, family in chosen.groupby("family"):
            for start in range(0, len(family), SEGMENT_ROWS):
                expected[(min(SEGMENT_ROWS, len(family) - start), start, len(family))] += 1
        found = Counter(
            (int(n), int(s), int(z)) for p in sides[side] for n, s, z in zip(p.lengths, p.start, p.size, strict=True)
        )
        assert found == expected


def test_codes_are_those_of_the_rows(rows: pd.DataFrame, encoded: Any) -> None:  # noqa: ANN401
    plan, one = encoded.fitted.plans["sales"], encoded.sets["sales"]
    amount = plan.value("amount")
    packs = [
        p
        for side in ("train", "holdout")
        for p in read_packs(f"{one.path}/split={side}", PackShape(len(plan.cards), len(plan.context_cards)), 10**9)
    ]
    codes = np.concatenate([p.codes.numpy() for p in packs])
    expected = amount.codecs[0].encode(rows["amount"].to_numpy(float))
    assert Counter(codes[:, amount.at].tolist()) == Counter(expected.tolist())
    assert codes.min() >= -1 and (codes < np.array(plan.cards)).all()
    first, gap = codes[:, plan.time.first_at], codes[:, plan.time.delta_at]
    assert not ((first >= 0) & (gap >= 0)).any()
    long_heads = int((rows["__pos"] % SEGMENT_ROWS == 0)[rows["__n"] > SEGMENT_ROWS].sum())
    assert int(((first < 0) & (gap < 0)).sum()) == long_heads == 3
    counted = [sum(c) for c in one.frequencies]
    assert counted[amount.at] == plan.rows


def test_children_are_conditioned_on_their_own_parent(spark: SparkSession, encoded: Any) -> None:  # noqa: ANN401
    shops, sales = encoded.fitted.plans["shops"], encoded.fitted.plans["sales"]
    assert sales.context_cards == shops.cards
    one = encoded.sets["sales"]
    degree = shops.degrees[0]
    for side in ("train", "holdout"):
        for pack in read_packs(f"{one.path}/split={side}", PackShape(len(sales.cards), len(shops.cards)), 10**9):
            own = pack.context[:, degree.at].numpy()
            sizes = degree.codec.encode(pack.size.numpy().astype(float))
            assert ((own == sizes) | (own == -1)).all()
