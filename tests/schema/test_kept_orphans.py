"""Orphans that are kept need keys that can be made; what cannot be is refused in one line."""

from __future__ import annotations

import pytest

from spark_synth.errors import UserError
from spark_synth.schema import Column, Kind, Orphans, Schema
from spark_synth.schema.orphans import check_kept_orphans
from spark_synth.schema.overlap import mark_shared


def schema(**kinds: str) -> Schema:
    """An extension x of p, lines under it, and what hangs on these."""
    made = Schema().add_table("p", "id", kinds).add_table("x", "id").add_foreign_key("x.id", "p.id")
    made.add_table("line", ["x", "no"]).add_foreign_key("line.x", "x.id")
    return made.add_table("note", "id").add_foreign_key("note.(x,no)", "line.(x,no)", orphans="keep")


def kept(made: Schema, table: str, number: int = 0) -> Schema:
    key = made.tables[table].foreign_keys[number]
    key.orphans, key.kept_orphans = Orphans.KEEP, 12
    mark_shared(made)
    return made


def test_keys_may_come_from_further_up() -> None:
    for table in ("x", "line", "note"):
        check_kept_orphans(kept(schema(), table))
    check_kept_orphans(kept(schema(id="text"), "note"))


def test_what_is_no_key_cannot_be_made() -> None:
    with pytest.raises(UserError, match=r"note\.x\+no of table 'note' keeps 12 orphans, but p\.id|line\.x is no key"):
        check_kept_orphans(kept(schema(id="numeric"), "note"))
    made = schema(id="numeric")
    check_kept_orphans(made)  # none are found
    made.tables["p"].reference = True
    check_kept_orphans(kept(made, "x"))  # the keys of a reference table are codes


def test_a_key_that_follows_from_another_must_resolve() -> None:
    made = schema().add_foreign_key("note.x", "x.id")
    made.tables["note"].columns["x"] = Column(kind=Kind.KEY)
    with pytest.raises(UserError, match=r"note\.x follows from it and would not resolve: set orphans: null or drop"):
        check_kept_orphans(kept(made, "note"))
