"""Model compatibility and the privacy score on tables whose answers are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from spark_synth.evaluation.compatibility import model_compatibility
from spark_synth.evaluation.joins import Joined, joined, sample_of
from spark_synth.evaluation.near import privacy_score
from spark_synth.schema import Schema

SHOP = (
    Schema()
    .add_table("region", primary_key="id", columns={"id": "key", "climate": "categorical"})
    .add_table("shop", primary_key="id", columns={"id": "key", "region": "key", "size": "numeric"})
    .add_table("sale", primary_key="id", columns={"id": "key", "shop": "key", "sum": "numeric", "note": "text"})
    .add_foreign_key("shop.region", "region.id")
    .add_foreign_key("sale.shop", "shop.id")
)


@pytest.fixture(scope="module")
def frames(spark: SparkSession) -> dict[str, DataFrame]:
    tables = {
        "region": pd.DataFrame({"id": [1, 2], "climate": ["wet", "dry"]}),
        "shop": pd.DataFrame({"id": [10, 11, 12], "region": [1, 2, None], "size": [5.0, 6.0, 7.0]}),
        "sale": pd.DataFrame({"id": [1, 2, 3], "shop": [10, 10, 11], "sum": [1.5, 2.5, 3.5], "note": ["a", "b", "c"]}),
    }
    return {t: spark.createDataFrame(rows) for t, rows in tables.items()}


def test_rows_are_joined_with_what_they_refer_to_and_what_refers_to_them(frames: dict[str, DataFrame]) -> None:
    rows = joined(frames, SHOP, "shop")
    assert rows.columns == ["shop.size", "region[region].climate", "sale.sum"]
    found = sorted(tuple(r) for r in rows.na.fill("-", ["`region[region].climate`"]).na.fill(-1.0).collect())
    assert [f[0] for f in found] == [5.0, 5.0, 6.0, 7.0] and [f[2] for f in found][:3] == [1.5, 2.5, 3.5]
    sample = sample_of(rows)
    assert (sample.numbers, sample.categories) == (["shop.size", "sale.sum"], ["region[region].climate"])


def drawn(seed: int, rows: int, tie: float = 1.0) -> Joined:
    """A label that follows two numbers as far as `tie` says, and a category."""
    random = np.random.default_rng(seed)
    a, b = random.standard_normal((2, rows))
    label = np.where(tie * (a + b) + random.logistic(size=rows) > 0, "yes", "no")
    table = pd.DataFrame({"a": a, "b": b, "kind": random.choice(["x", "y", "z"], rows), "label": label})
    return Joined(table, ["a", "b"], ["kind", "label"])


def test_rows_of_the_same_kind_are_compatible_and_others_are_not() -> None:
    real, test = drawn(0, 4000, 3), drawn(1, 4000, 3)
    good, bad = (model_compatibility(real, test, drawn(2, 4000, tie), "label") for tie in (3, 0))
    assert good["auc_real"] > 0.9 and good["mc_auc"] < 0.02 and good["mc_f1"] < 0.03
    assert bad["auc_synth"] == pytest.approx(0.5, abs=0.1) and bad["mc_auc"] > 0.5
    assert model_compatibility(real, test, real, "label")["mc_auc"] == 0


def test_a_class_that_the_rows_to_learn_from_lack_is_asked_for() -> None:
    """Whatever else is learnt, nobody finds it: its AUC is a half, the other two keep theirs."""
    real, test = drawn(0, 4000, 3), drawn(1, 4000, 3)
    known = model_compatibility(real, test, real, "label")["auc_real"]
    test.rows.loc[test.rows.sample(40, random_state=0).index, "label"] = "unheard of"
    found = model_compatibility(real, test, real, "label")
    assert found["auc_real"] == found["auc_synth"] == pytest.approx((2 * known + 0.5) / 3, abs=0.02)


def test_copies_are_near_and_fresh_rows_are_not() -> None:
    real = drawn(0, 2000)
    assert privacy_score(real, drawn(3, 2000))["P"] == pytest.approx(0.05, abs=0.03)
    assert privacy_score(real, real)["P"] > 0.9
