"""Which foreign key owns the rows of a table, and what is said about it."""

from __future__ import annotations

import pytest

from spark_synth.errors import UserError
from spark_synth.schema.graph import OwnerChoice, choose_owners, explain_owners, generation_order, rivals
from spark_synth.schema.model import Schema

ROWS = {"countries": 10, "customers": 500, "cards": 500, "shops": 40, "orders": 4000, "staff": 60}


def shop() -> Schema:
    schema = Schema()
    for name in ROWS:
        schema.add_table(name, primary_key="id")
    schema.add_foreign_key("customers.country", "countries.id")
    schema.add_foreign_key("cards.id", "customers.id")
    schema.add_foreign_key("orders.shop", "shops.id").add_foreign_key("orders.customer", "customers.id")
    return schema.add_foreign_key("staff.boss", "staff.id")


def chosen(schema: Schema) -> dict[str, tuple[str | None, str]]:
    return {t: (c.key.name if c.key else None, c.reason) for t, c in explain_owners(schema, ROWS).items()}


def test_every_choice_has_its_reason() -> None:
    assert chosen(shop()) == {
        "countries": (None, "no foreign key"),
        "customers": (None, "customers.country: countries is a hub of 10 rows"),
        "cards": ("cards.id", "it is the primary key too, one row each"),
        "shops": (None, "no foreign key"),
        "orders": ("orders.customer", "500 rows of customers, the most parents of 2 keys, 8.0 rows each on average"),
        "staff": (None, "staff.boss: refers to the table itself"),
    }
    order = generation_order(shop(), choose_owners(shop(), ROWS))
    assert order.index("customers") < min(order.index("cards"), order.index("orders"))
    assert order.index("shops") < order.index("orders")  # a link, whose rows the orders are conditioned on


def test_rows_that_lie_together_in_time_are_a_sequence() -> None:
    schema = shop()
    by_shop, by_customer = schema.tables["orders"].foreign_keys
    assert rivals(schema, ROWS) == {"orders": [by_shop, by_customer]}
    by_shop.gathered, by_customer.gathered = 0.9, 0.2
    assert chosen(schema)["orders"] == (
        "orders.shop",
        "40 rows of shops, the closest together of 2 keys, 100.0 rows each on average",
    )
    by_customer.gathered = 0.7  # not clearly less
    assert chosen(schema)["orders"][0] == "orders.customer"
    by_customer.owner = True
    assert rivals(schema, ROWS) == {}


def test_the_user_decides() -> None:
    schema = shop()
    schema.tables["orders"].foreign_keys[0].owner = True
    assert chosen(schema)["orders"] == ("orders.shop", "named by the user")
    schema.tables["orders"].foreign_keys[0].owner = False
    assert chosen(schema)["orders"][0] == "orders.customer"
    schema.tables["orders"].foreign_keys[1].owner = False
    assert "orders.customer: marked owner: false" in chosen(schema)["orders"][1]
    schema.tables["customers"].reference = True
    assert explain_owners(schema, ROWS)["customers"] == OwnerChoice(None, "reference table: its real rows are kept")
    assert chosen(schema)["cards"][0] == "cards.id"  # an extension of kept rows copies their keys


def test_cycles_and_reference_tables_own_nothing() -> None:
    schema = shop()
    schema.add_foreign_key("shops.manager", "staff.id").add_foreign_key("staff.shop", "shops.id")
    assert chosen(schema)["shops"] == (None, "shops.manager: part of a cycle")
    schema.tables["shops"].foreign_keys[0].cut = "never mind why"
    assert chosen(schema)["shops"] == (None, "shops.manager: opens a cycle (never mind why)")
    assert "cycle" not in chosen(schema)["staff"][1]
    schema.tables["customers"].reference = True
    schema.tables["shops"].reference = True
    assert chosen(schema)["orders"] == (
        None,
        "orders.shop: shops is a reference table; orders.customer: customers is a reference table",
    )


def test_owners_named_in_a_circle_are_refused() -> None:
    schema = shop()
    schema.add_foreign_key("shops.manager", "staff.id", owner=True).add_foreign_key(
        "staff.shop", "shops.id", owner=True
    )
    with pytest.raises(UserError, match="own each other in a circle"):
        choose_owners(schema, ROWS)
