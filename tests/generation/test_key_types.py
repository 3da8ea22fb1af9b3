from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from spark_synth.encoding.edge_plan import LinkPlan, OwnerPlan
from spark_synth.encoding.keys import KeyPlan
from spark_synth.encoding.plan import TablePlan
from spark_synth.errors import UserError
from spark_synth.generation.key_types import key_types
from spark_synth.generation.run import Generation


def generation(type_: str, start: int, ratio: float, kept: dict[str, str] | None = None) -> Generation:
    """a, whose key has that type and first new value; b hangs on it, and c links to b's copy of the key."""
    nothing: Any = None
    plans = {
        "a": TablePlan("a", {"id": type_}, 50, keys=[KeyPlan("id", "integer", start=start)]),
        "b": TablePlan("b", {"a": type_}, 10, owner=OwnerPlan("b.a", ("a",), "a", ("id",), 0, 64)),
        "c": TablePlan("c", {"x": type_}, 10, links=[LinkPlan("c.x", ("x",), "b", ("a",), False, True)]),
    }
    return Generation(nothing, plans, "", "", kept or {}, ratio, 0, 512, None)


@pytest.mark.parametrize(("type_", "largest"), [("tinyint", 127), ("smallint", 2**15 - 1), ("int", 2**31 - 1)])
def test_keys_that_outgrow_their_type_are_widened_everywhere(type_: str, largest: int) -> None:
    assert key_types(generation(type_, 51, 1.0), {"a": 50}) == {}
    wide = key_types(generation(type_, largest - 20, 1.0), {"a": 50})
    assert wide == {("a", "id"): "bigint", ("b", "a"): "bigint", ("c", "x"): "bigint"}


def test_keys_of_a_wave_have_the_types_of_the_table_and_must_fit() -> None:
    there = SimpleNamespace(dtypes=[("id", "smallint")])
    run = replace(generation("tinyint", 51, 1.0), there=lambda t: there, used={"a": 32_000})  # type: ignore[arg-type, return-value]
    assert key_types(run, {"a": 50}) == {("a", "id"): "smallint"}
    with pytest.raises(UserError, match="a.id is smallint, which has no room for 1,000 more keys"):
        key_types(run, {"a": 1000})


def test_other_keys_stay() -> None:
    assert key_types(generation("bigint", 2**31, 3.0), {"a": 150}) == {}
    assert key_types(generation("tinyint", 120, 1.0, kept={"a": "somewhere"}), {}) == {}
