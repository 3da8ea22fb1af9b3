"""What synthetic rows teach of a target that a user names, tested on real rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame

from spark_synth.errors import UserError
from spark_synth.evaluation.halves import Halves, halves
from spark_synth.evaluation.targets import evaluate_target, find_target
from tests.evaluation.conftest import OWNERS, shop, shop_schema

Frames = Callable[..., dict[str, DataFrame]]


@pytest.fixture(scope="module")
def cut(frames: Frames, tmp_path_factory: pytest.TempPathFactory) -> Halves:
    """Two halves of the shop."""
    return halves(frames(shop(1)), shop_schema(), OWNERS, str(tmp_path_factory.mktemp("halves") / "of"), seed=1)


@pytest.fixture(scope="module")
def dealt(frames: Frames) -> Mapping[str, DataFrame]:
    """Another draw, whose orders were dealt out anew among the customers."""
    tables = shop(2, first=1001)
    tables["order"]["customer"] = np.random.default_rng(3).permutation(tables["order"]["customer"])
    return frames(tables)


def test_a_number_below_its_parent(cut: Halves, frames: Frames, dealt: Mapping[str, DataFrame]) -> None:
    """Amounts are twice the size of the customer, with noise of a fourth of their spread; alone, channels tell half."""
    good, bad = (
        evaluate_target(cut.one, cut.other, synth, shop_schema(), "order.amount", 0)
        for synth in (frames(shop(2, first=1001)), dealt)
    )
    assert good and bad and good["left_out"] == []
    assert good["r2_real"] > 0.8 and good["r2_synth"] > 0.8
    assert bad["r2_synth"] < 0.65 and bad["r2_real"] == good["r2_real"]
    assert 250 < good["rows"]["train"] < 700 and set(good) >= {"r2_real", "r2_synth"} and "mc_auc" not in good


def test_a_category_above_its_children(cut: Halves, frames: Frames, dealt: Mapping[str, DataFrame]) -> None:
    """Whether a customer is tall is seen from amount and channel of the orders; the size itself must not tell."""
    schema = shop_schema()
    for name in ("größe", "all null"):
        del schema.tables["customer"].columns[name]
    good, bad = (
        evaluate_target(cut.one, cut.other, synth, schema, "customer.city.of birth", 0)
        for synth in (frames(shop(2, first=1001)), dealt)
    )
    assert good and bad
    assert good["auc_synth"] > 0.95 and good["mc_auc"] < 0.05 and good["ceiling_mc_auc"] < 0.3
    assert bad["mc_auc"] > 0.2


def test_targets_are_named_by_table_and_column(cut: Halves) -> None:
    schema = shop_schema()
    assert find_target(schema, "customer.city.of birth") == ("customer", "city.of birth")
    for name, told in (("customer.colour", "write it as table.column"), ("order.number", "number of order is a key")):
        with pytest.raises(UserError, match=told):
            find_target(schema, name)
    few = {t: frame.limit(30) for t, frame in cut.one.items()}
    assert evaluate_target(few, cut.other, cut.other, schema, "order.channel", 0) is None


def test_too_many_combinations_are_left_out(frames: Frames) -> None:
    many = shop(1, customers=20)
    order = pd.concat([many["order"]] * 15, ignore_index=True)
    order["number"] = np.arange(len(order))
    sides = frames({**many, "order": order})
    found = evaluate_target(sides, sides, sides, shop_schema(), "customer.vip", 0)
    assert found is None  # twenty customers, with no order joined to make more of them
