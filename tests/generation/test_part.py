"""Which tables can be drawn again in part, and with which others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spark_synth.encoding.edge_plan import LinkPlan, OwnerPlan
from spark_synth.encoding.join_plan import SetPlan
from spark_synth.encoding.keys import KeyPlan
from spark_synth.encoding.plan import TablePlan
from spark_synth.errors import UserError
from spark_synth.generation.part import part_of

ID = [KeyPlan("id", "integer")]
LINES = OwnerPlan("lines.order", ("order",), "orders", ("id",), 0, 64)
TO_PRODUCT = LinkPlan("lines.sku", ("sku",), "products", ("id",), False, False)
TO_LINE = LinkPlan("notes.line", ("order", "line"), "lines", ("order", "line"), True, False)


def plans(to_line: LinkPlan = TO_LINE) -> dict[str, TablePlan]:
    """Orders own lines, which refer to products; notes refer to lines."""
    lines = {"order": "int", "line": "int", "sku": "int"}
    numbered = [KeyPlan("line", "position")]
    return {
        "products": TablePlan("products", {"id": "int"}, 5, ["id"], keys=ID),
        "orders": TablePlan("orders", {"id": "int"}, 5, ["id"], keys=ID),
        "lines": TablePlan("lines", lines, 9, ["order", "line"], owner=LINES, links=[TO_PRODUCT], keys=numbered),
        "notes": TablePlan("notes", {"id": "int", "order": "int", "line": "int"}, 9, ["id"], links=[to_line], keys=ID),
    }


def test_what_rows_own_is_drawn_with_them_and_what_refers_to_them_is_not() -> None:
    assert part_of(plans(), "orders") == ["orders", "lines"]
    assert part_of(plans(), "lines") == ["lines"]
    assert part_of(plans(), "products") == ["products"]
    assert part_of(plans(), "notes") == ["notes"]


def test_columns_that_others_repeat_must_not_change() -> None:
    repeated = (("item", "sku"),)
    for to_line in (replace(TO_LINE, copies=repeated), replace(TO_LINE, onward=repeated)):
        with pytest.raises(UserError, match="--where: rows of notes repeat sku of lines, which would change"):
            part_of(plans(to_line), "orders")


def test_keys_that_a_new_link_is_part_of_must_not_be_referred_to() -> None:
    to_sku = replace(TO_LINE, columns=("order", "line"), parent_columns=("order", "sku"))
    with pytest.raises(UserError, match="rows of notes repeat sku of lines"):
        part_of(plans(to_sku), "lines")


def test_rows_that_are_not_drawn_family_by_family_are_refused() -> None:
    late = replace(TO_PRODUCT, name="orders.best", columns=("best",), late=True)
    first = {**plans(), "orders": TablePlan("orders", {"id": "int", "best": "int"}, 5, ["id"], keys=ID, links=[late])}
    with pytest.raises(UserError, match=r"--where: rows of orders refer to products \(best\) once all are drawn: draw"):
        part_of(first, "orders")
    joined = plans()
    joined["products"].sets = [SetPlan("lines", "lines.sku", "orders", 4, (0,))]
    for table in ("products", "lines", "orders"):
        with pytest.raises(UserError, match="--where: rows of .* are drawn together with those of"):
            part_of(joined, table)
