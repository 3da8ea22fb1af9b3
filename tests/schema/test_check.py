from __future__ import annotations

from collections.abc import Callable

import pytest

from spark_synth.errors import UserError
from spark_synth.schema import Column, Kind, Schema, check_schema


def _shop() -> Schema:
    schema = Schema()
    schema.add_table("customer", "id", {"name": "text"})
    schema.add_table("order", "id", {"amount": "numeric", "at": "datetime"})
    return schema.add_foreign_key("order.customer_id", "customer.id")


def _two_owners(s: Schema) -> None:
    s.add_foreign_key("order.buyer_id", "customer.id", owner=True)
    s.tables["order"].foreign_keys[0].owner = True


def _set_types(child: str, parent: str) -> Callable[[Schema], None]:
    def change(s: Schema) -> None:
        s.tables["order"].columns["customer_id"].type = child
        s.tables["customer"].columns["id"].type = parent

    return change


def _set_key(**changes: object) -> Callable[[Schema], None]:
    def change(s: Schema) -> None:
        for name, value in changes.items():
            setattr(s.tables["order"].foreign_keys[0], name, value)

    return change


def _set_column(name: str, **fields: str) -> Callable[[Schema], None]:
    def change(s: Schema) -> None:
        for field, value in fields.items():
            setattr(s.tables["order"].columns[name], field, value)

    return change


def _add_column(name: str) -> Callable[[Schema], None]:
    return lambda s: s.tables["order"].columns.update({name: Column(kind=Kind.TEXT)})


def test_a_sound_schema_passes() -> None:
    schema = _shop()
    _set_types("bigint", "int")(schema)
    check_schema(schema)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_set_key(parent="custmer"), "unknown table 'custmer' (did you mean 'customer'?)"),
        (_set_key(columns=("custom_id",)), "unknown column order.custom_id (did you mean 'customer_id'?)"),
        (_set_key(parent_columns=("idd",)), "unknown column customer.idd"),
        (_set_key(parent_columns=("id", "name")), "has 1 columns, but references 2"),
        (_set_key(parent_columns=()), "names no columns"),
        (_two_owners, "names 2 owners"),
        (_set_types("string", "int"), "order.customer_id is string, but customer.id"),
        (_set_column("amount", type="integre"), "order.amount: unknown type 'integre'"),
        (_set_column("amount", type="decimal(5,9)"), "unknown type 'decimal(5,9)'"),
        (_set_column("amount", format="%Y"), "order.amount: 'format' is for kind datetime"),
        (_add_column("AMOUNT"), "differ only in case"),
        (lambda s: setattr(s.tables["order"], "primary_key", ("nr",)), "primary key column order.nr"),
        (lambda s: s.tables.clear(), "no tables"),
        (lambda s: s.tables["customer"].columns.clear(), "'customer' has no columns"),
    ],
)
def test_each_contradiction_is_one_clear_line(spoil: Callable[[Schema], None], message: str) -> None:
    schema = _shop()
    spoil(schema)
    with pytest.raises(UserError) as error:
        check_schema(schema)
    assert message in str(error.value)


def test_a_reference_table_cannot_refer_to_rows_that_are_new() -> None:
    schema = _shop()
    schema.tables["order"].reference = True
    with pytest.raises(UserError, match="'order', which keeps .* leads to 'customer', .*: mark 'customer' ref"):
        check_schema(schema)
    schema.tables["customer"].reference = True
    check_schema(schema)


def test_a_composite_key_in_another_order_is_refused() -> None:
    schema = Schema().add_table("a", ["x", "y"]).add_table("b", "id").add_foreign_key("b.(y,x)", "a.(x,y)")
    with pytest.raises(UserError, match=r"lists \(y, x\) against \(x, y\) of a: .* in the same order"):
        check_schema(schema)
    check_schema(Schema().add_table("a", ["x", "y"]).add_table("b", "id").add_foreign_key("b.(y,x)", "a.(y,x)"))
