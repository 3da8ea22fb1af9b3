"""Whatever foreign keys a schema has: cycles are opened or refused, and owners make a forest that can be walked."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from spark_synth.errors import UserError
from spark_synth.schema.check import check_schema
from spark_synth.schema.cycles import cut_cycles, cyclic_edges
from spark_synth.schema.graph import explain_owners, generation_order, links
from spark_synth.schema.model import Schema

TABLES = 8
ANY_SPEED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
Shares = dict[tuple[str, str], float]


@st.composite
def databases(draw: st.DrawFn, least_null: float = 0.0) -> tuple[Schema, dict[str, int], Shares]:
    """Tables with any foreign keys among them (to themselves, parallel, in circles, as primary keys), the rows of each
    and how often each key is NULL."""
    names = [f"t{i}" for i in range(draw(st.integers(1, TABLES)))]
    schema = Schema()
    for name in names:
        schema.add_table(name, "id", {"v": "numeric"}, reference=draw(st.integers(0, 5)) == 0)
    edge = st.tuples(st.sampled_from(names), st.sampled_from(names), st.integers(0, 7), st.floats(least_null, 1.0))
    shares: Shares = {}
    for i, (child, parent, kind, null) in enumerate(draw(st.lists(edge, max_size=2 * TABLES))):
        if schema.tables[child].reference and not schema.tables[parent].reference:
            continue  # refused: see test_check
        extends = kind == 0 and child != parent and "id" not in schema.tables[child].foreign_key_columns()
        owner = False if kind == 1 else None
        schema.add_foreign_key(f"{child}.{'id' if extends else f'k{i}'}", f"{parent}.id", owner, name=f"e{i}")
        shares[child, f"e{i}"] = 0.0 if extends else null
    return schema, {n: draw(st.integers(1, 5000)) for n in names}, shares


@ANY_SPEED
@given(databases())
def test_owners_make_a_forest(database: tuple[Schema, dict[str, int], Shares]) -> None:
    schema, rows, shares = database
    check_schema(schema)
    try:
        cut_cycles(schema, shares)
    except UserError as error:
        assert "break_edges" in str(error)
        left = cyclic_edges(schema)
        assert any(shares[e] == 0 for e in left)
        return
    assert not cyclic_edges(schema)
    choices = explain_owners(schema, rows)
    owners = {t: c.key for t, c in choices.items()}
    order = generation_order(schema, owners)
    assert sorted(order) == sorted(schema.tables)
    for t, owner in owners.items():
        assert choices[t].reason
        assert len(links(schema.tables[t], owner)) == len(schema.tables[t].foreign_keys) - (owner is not None)
        for fk in links(schema.tables[t], owner):
            late = fk.cut or fk.parent == t or schema.tables[t].reference
            assert late or order.index(fk.parent) < order.index(t)
        if owner is not None:
            assert order.index(owner.parent) < order.index(t)
            assert not owner.cut and owner.owner is not False and not schema.tables[t].reference


@ANY_SPEED
@given(databases(least_null=0.1))
def test_a_cycle_in_which_every_key_may_be_null_is_always_opened(
    database: tuple[Schema, dict[str, int], Shares],
) -> None:
    schema, _, shares = database
    assume(all(shares.values()))
    cut_cycles(schema, shares)
    cut = {(t, fk.name) for t, v in schema.tables.items() for fk in v.foreign_keys if fk.cut}
    assert not cyclic_edges(schema)
    whole = schema.model_copy(deep=True)
    for v in whole.tables.values():
        for fk in v.foreign_keys:
            fk.cut = None
    assert cut <= cyclic_edges(whole)  # nothing that is in no cycle is cut


def test_a_ring_of_300_tables_with_branches() -> None:
    schema = Schema()
    for i in range(300):
        schema.add_table(f"t{i}", "id", {"v": "numeric"})
    for i in range(300):
        schema.add_foreign_key(f"t{i}.next", f"t{(i + 1) % 300}.id").add_foreign_key(f"t{i}.up", f"t{i // 2}.id")
    with pytest.raises(UserError, match="refer to each other in a circle"):
        cut_cycles(schema, {})
    cut_cycles(schema, {(f"t{i}", f"t{i}.next"): 0.2 for i in range(300)})
    owners = {t: c.key for t, c in explain_owners(schema, dict.fromkeys(schema.tables, 1000)).items()}
    assert len(generation_order(schema, owners)) == 300
