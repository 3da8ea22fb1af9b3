"""Join tables: which they are, and whose edges can come before the values at one end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spark_synth.config import RunConfig
from spark_synth.errors import UserError
from spark_synth.pipeline.joins import joins_of
from spark_synth.schema import Schema
from spark_synth.schema.graph import choose_owners, generation_order
from spark_synth.schema.joins import before_values, edges_first, join_tables

ROWS = {"users": 900, "items": 300, "takes": 5000, "orders": 4000, "lines": 9000}


@pytest.fixture
def schema() -> Schema:
    """Users take items (a join table); orders have a key of their own; lines are pairs, but of an order and an item."""
    made = Schema().add_table("users", "id", {"band": "categorical"}).add_table("items", "id", {"kind": "categorical"})
    made.add_table("takes", ["user", "item"], {"score": "numeric"})
    made.add_table("orders", "id", {"amount": "numeric"})
    made.add_table("lines", None, {"units": "numeric"})
    made.add_foreign_key("takes.user", "users.id").add_foreign_key("takes.item", "items.id")
    made.add_foreign_key("orders.user", "users.id").add_foreign_key("orders.item", "items.id")
    made.add_foreign_key("lines.order", "orders.id").add_foreign_key("lines.item", "items.id")
    return made


def config(**tables: dict[str, object]) -> RunConfig:
    plain = {"source": {"path": "d"}, "schema": "s", "output": "o"}
    named = {t: {"model": options} for t, options in tables.items()}
    return RunConfig.model_validate({**plain, "tables": named, "model": {"edges_first": True}})


def test_join_tables_are_pairs_of_two_rows(schema: Schema) -> None:
    found = join_tables(schema, choose_owners(schema, ROWS))
    assert {t: (j.owner.parent, j.link.parent) for t, j in found.items()} == {
        "takes": ("users", "items"),
        "lines": ("orders", "items"),
    }


def test_reference_tables_and_tables_that_others_refer_to_make_none(schema: Schema) -> None:
    schema.tables["items"].reference = True
    assert join_tables(schema, choose_owners(schema, ROWS)) == {}


def test_edges_come_first_where_the_other_end_does_not_need_them(schema: Schema) -> None:
    owners = choose_owners(schema, ROWS)
    joins = {t: replace(j, first=True) for t, j in join_tables(schema, owners).items()}
    # an order is linked to an item, so items cannot wait for the lines of orders
    assert edges_first(schema, owners, joins) == ["takes"]
    order = generation_order(schema, owners, before_values({"takes": joins["takes"]}))
    assert order.index("users") < order.index("items") < order.index("takes")


def test_what_is_asked_for_all_tables_is_done_where_it_can_be(schema: Schema) -> None:
    found = joins_of(config(takes={"edges": "block"}), schema, choose_owners(schema, ROWS))
    assert {t: (j.edges, j.first) for t, j in found.items()} == {"takes": ("block", True), "lines": ("neural", False)}


@pytest.mark.parametrize(
    ("table", "options", "said"),
    [
        ("orders", {"edges": "block"}, "option tables.orders.model.edges: orders is no join table"),
        ("lines", {"edges_first": True}, "option tables.lines.model.edges_first: items must be there before orders"),
    ],
)
def test_what_one_table_asks_for_must_be_possible(
    schema: Schema, table: str, options: dict[str, object], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        joins_of(config(**{table: options}), schema, choose_owners(schema, ROWS))
