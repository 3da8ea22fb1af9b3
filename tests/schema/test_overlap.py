"""Foreign keys that share columns."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from spark_synth.errors import UserError
from spark_synth.schema import Orphans, Schema
from spark_synth.schema.graph import explain_owners, links
from spark_synth.schema.overlap import mark_shared, shared_columns


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
    mark_shared(schema)
    order, line = schema.table("deliveries").foreign_keys
    assert (order.implied, line.implied) == (line.name, None)
    choice = explain_owners(schema, {"orders": 500, "lines": 2000, "deliveries": 3000})["deliveries"]
    assert choice.key is line
    assert links(schema.table("deliveries"), line) == []


def test_any_other_overlap_is_refused() -> None:
    told = r"column deliveries\.order is part of two foreign keys .*leave one of them out"
    with pytest.raises(UserError, match=told):
        mark_shared(shop(line_has_order=False))


def tenants(reference: bool = False) -> Schema:
    """Orders of a customer of the same tenant, lines of an order and a product of the same tenant."""
    schema = Schema().add_table("tenants", "id", reference=reference)
    for name in ("customers", "products", "orders"):
        schema.add_table(name, ["tenant", "id"]).add_foreign_key(f"{name}.tenant", "tenants.id")
    schema.add_table("lines", ["tenant", "order", "product"]).add_foreign_key("lines.tenant", "tenants.id")
    schema.add_foreign_key("orders.(tenant,customer)", "customers.(tenant,id)")
    schema.add_foreign_key("lines.(tenant,order)", "orders.(tenant,id)")
    return schema.add_foreign_key("lines.(tenant,product)", "products.(tenant,id)")


def test_keys_that_share_a_column_may_both_be_there() -> None:
    schema = tenants()
    mark_shared(schema)
    tenant, order, product = schema.table("lines").foreign_keys
    assert (tenant.implied, order.implied, product.implied) == (order.name, None, None)
    assert shared_columns(schema.table("lines"), product) == {"tenant"}


def test_no_key_follows_from_one_that_is_partly_null() -> None:
    schema = tenants(reference=True)
    tenant, customer = schema.table("orders").foreign_keys
    mark_shared(schema)
    assert tenant.implied == customer.name
    customer.partly = True
    mark_shared(schema)
    assert tenant.implied is None and customer.last
    choice = explain_owners(schema, {"tenants": 30, "customers": 900, "products": 90, "orders": 5000, "lines": 9000})
    assert choice["orders"].key is None and "NULL in rows" in choice["orders"].reason


def test_no_key_follows_from_a_reference_to_the_own_table() -> None:
    schema = tenants().add_table("staff", ["tenant", "id"]).add_foreign_key("staff.tenant", "tenants.id")
    schema.add_foreign_key("staff.(tenant,boss)", "staff.(tenant,id)")
    mark_shared(schema)
    assert [fk.implied for fk in schema.table("staff").foreign_keys] == [None, None]


def test_a_reference_to_the_own_table_shares_a_column_with_itself_alone() -> None:
    schema = tenants().add_table("staff", ["tenant", "id"]).add_foreign_key("staff.tenant", "tenants.id")
    schema.add_foreign_key("staff.region", "tenants.id").add_foreign_key("staff.(region,boss)", "staff.(tenant,id)")
    with pytest.raises(UserError, match=r"column staff\.region is .* \(staff\.region.*refers to another column of the"):
        mark_shared(schema)


def test_an_extension_tells_the_row_that_it_extends() -> None:
    schema = Schema().add_table("p", "id").add_table("x", "id").add_table("c", "id").add_foreign_key("x.id", "p.id")
    schema.add_foreign_key("c.pid", "p.id").add_foreign_key("c.pid", "x.id", name="c.x")
    mark_shared(schema)
    assert [fk.implied for fk in schema.table("c").foreign_keys] == ["c.x", None]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (
            lambda s: s.add_foreign_key("lines.(tenant,product)", "products.(tenant,id)"),
            "with the same columns, neither",
        ),
        (lambda s: s.table("lines").foreign_keys[2].__setattr__("orphans", Orphans.KEEP), "keeps orphans: set orphans"),
        (lambda s: s.table("products").__setattr__("reference", True), "into a reference table by several columns"),
    ],
)
def test_what_cannot_be_made_of_shared_columns_is_refused(spoil: Callable[[Schema], None], told: str) -> None:
    schema = tenants()
    for fk in schema.table("lines").foreign_keys:
        fk.name += " key"
    spoil(schema)
    with pytest.raises(UserError, match=rf"column lines\.\w+ is part of two foreign keys .*{told}"):
        mark_shared(schema)
