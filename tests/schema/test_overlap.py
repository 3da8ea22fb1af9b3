"""Foreign keys that share columns."""

from __future__ import annotations

import pytest

from spark_synth.errors import UserError
from spark_synth.schema import Schema
from spark_synth.schema.graph import explain_owners, links
from spark_synth.schema.overlap import mark_implied


def shop(line_has_order: bool = True) -> Schema:
    schema = Schema()
    schema.add_table("orders", "id", {"day": "datetime"})
    schema.add_table("lines", ["order", "line"], {"price": "numeric"})
    schema.add_table("deliveries", "id", {"order": "key", "line": "key"})
    if line_has_order:
        schema.add_foreign_key("lines.order", "orders.id")
    schema.add_foreign_key("deliveries.order", "orders.id")
    return schema.add_foreign_key("deliveries.(order,line)", "lines.(order,line)")


def test_a_key_that_follows_from_another_is_left_to_it() -> None:
    schema = shop()
    mark_implied(schema)
    order, line = schema.table("deliveries").foreign_keys
    assert (order.implied, line.implied) == (line.name, None)
    choice = explain_owners(schema, {"orders": 500, "lines": 2000, "deliveries": 3000})["deliveries"]
    assert choice.key is line
    assert links(schema.table("deliveries"), line) == []


def test_any_other_overlap_is_refused() -> None:
    told = r"column deliveries\.order is part of two foreign keys .*leave one of them out"
    with pytest.raises(UserError, match=told):
        mark_implied(shop(line_has_order=False))
