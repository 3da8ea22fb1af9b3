"""Where cycles of tables are opened, and which cycles are refused."""

from __future__ import annotations

import pytest

from spark_synth.errors import UserError
from spark_synth.schema.cycles import cut_cycles, cyclic_edges, name_cuts
from spark_synth.schema.model import Schema


def ring(*edges: tuple[str, str]) -> Schema:
    schema = Schema()
    for t in dict.fromkeys(t for edge in edges for t in edge):
        schema.add_table(t, primary_key="id")
    for child, parent in edges:
        schema.add_foreign_key(f"{child}.{parent}", f"{parent}.id")
    return schema


def cuts(schema: Schema) -> dict[str, str]:
    return {fk.name: fk.cut for v in schema.tables.values() for fk in v.foreign_keys if fk.cut}


def test_a_cycle_is_opened_where_it_is_null_most_often() -> None:
    schema = ring(("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"), ("b", "b"))
    assert cyclic_edges(schema) == {("a", "a.b"), ("b", "b.c"), ("c", "c.a")}
    cut_cycles(schema, {("a", "a.b"): 0.2, ("b", "b.c"): 0.0, ("c", "c.a"): 0.5})
    assert cuts(schema) == {"c.a": "NULL in 50.0% of its rows"} and not cyclic_edges(schema)


def test_every_cycle_is_opened_also_of_parallel_keys() -> None:
    schema = ring(("a", "b"), ("b", "a"), ("b", "c"), ("c", "b"))
    schema.add_foreign_key("a.second", "b.id")
    cut_cycles(schema, {("a", "a.b"): 0.1, ("a", "a.second"): 0.1, ("c", "c.b"): 0.3})
    assert set(cuts(schema)) == {"a.b", "a.second", "c.b"}


def test_a_cycle_without_nulls_needs_a_name() -> None:
    schema = ring(("a", "b"), ("b", "a"))
    with pytest.raises(UserError, match=r"a -> b -> a refer .* break_edges: \[a\.b\]"):
        cut_cycles(schema, {})
    name_cuts(schema, ["b.a"])
    cut_cycles(schema, {})
    assert cuts(schema) == {"b.a": "named in break_edges"}


def test_kept_rows_make_no_cycle_and_owners_are_not_cut() -> None:
    schema = ring(("a", "b"), ("b", "a"))
    schema.tables["a"].foreign_keys[0].owner = True
    cut_cycles(schema, {("a", "a.b"): 0.5, ("b", "b.a"): 0.1})
    assert set(cuts(schema)) == {"b.a"}
    kept = ring(("a", "b"), ("b", "a"))
    kept.tables["b"].reference = True
    assert not cyclic_edges(kept)


def test_names_that_are_none_are_told() -> None:
    schema = ring(("a", "b"), ("b", "a"))
    with pytest.raises(UserError, match=r"break_edges: no foreign key 'a\.x' \(did you mean 'a\.b'\?\)"):
        name_cuts(schema, ["a.x"])
    schema.add_foreign_key("b.self", "b.id")
    with pytest.raises(UserError, match="'b.self' is in no cycle of tables"):
        name_cuts(schema, ["b.self"])
    schema.tables["a"].foreign_keys[0].owner = True
    with pytest.raises(UserError, match="cannot own rows"):
        name_cuts(schema, ["a.b"])
