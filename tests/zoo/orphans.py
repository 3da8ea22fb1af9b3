"""Shapes of the zoo with rows whose foreign key leads nowhere: set to NULL, dropped, kept."""

from __future__ import annotations

import numpy as np
import pandas as pd

from spark_synth.schema.model import Orphans, Schema
from tests.zoo.draws import MANY, Rng, Shape, keyed
from tests.zoo.shapes import two_keys_to_one_parent, under_order_lines


def orphans_to_null(d: Rng) -> Shape:
    schema, tables = two_keys_to_one_parent(d)
    tables["t"].loc[d.rng.random(len(tables["t"])) < 0.1, "target"] = 999_999
    return schema, tables


def orphans_dropped(d: Rng) -> Shape:
    p = d.parent(MANY)
    c = d.child(p, "pid", 3)
    c.loc[d.rng.random(len(c)) < 0.1, "pid"] = 999_999
    return keyed(Schema(), p="id", c="id").add_foreign_key("c.pid", "p.id", orphans="drop"), {"p": p, "c": c}


def orphans_kept(d: Rng) -> Shape:
    """Of the owner (text keys, many rows each) and of a link that is NULL too, both in rows of one kind above all."""
    p, q = d.parent(MANY), d.parent(200)
    p["id"] = [f"AB-{i:05d}" for i in p["id"]]
    c = d.child(p, "pid", 4)
    lost = np.arange(len(c)) < 0.1 * len(c)
    c["pid"] = np.where(lost, [f"AB-{i // 7 + 700:05d}" for i in range(len(c))], c["pid"])
    c["kind"] = np.where(lost & (d.rng.random(len(c)) < 0.9), "x", c["kind"])
    c["qid"] = d.pick(q["id"], len(c), null=0.1)
    lost = ((c["kind"] == "y") & (d.rng.random(len(c)) < 0.4)).to_numpy()
    c.loc[lost, "qid"] = 201 + np.arange(lost.sum()) // 3
    schema = keyed(Schema(), p="id", q="id", c="id").add_foreign_key("c.pid", "p.id", orphans="keep")
    return schema.add_foreign_key("c.qid", "q.id", orphans="keep"), {"p": p, "q": q, "c": c}


def orphans_kept_in_sets(d: Rng) -> Shape:
    """Of a composite key, of pairs that occur once, and of a reference."""
    schema, tables = under_order_lines(d)
    e, p, s = tables["e"], tables["p"], tables["s"]
    e.loc[d.rng.random(len(e)) < 0.1, "line"] = 77
    e.drop_duplicates(["pid", "line"], keep="first", inplace=True, ignore_index=True)
    schema.tables["e"].foreign_keys[0].orphans = Orphans.KEEP
    j = d.pairs(p["id"], s["id"], 1500)
    j.loc[d.rng.random(len(j)) < 0.1, "r"] += 80
    j = j.drop_duplicates(["l", "r"], ignore_index=True)
    p["ref"] = [f"R{i % 9}" for i in range(MANY)]
    ref = pd.DataFrame({"id": [f"R{i}" for i in range(8)]}).join(d.values(8))
    keyed(schema, j=["l", "r"], ref="id").tables["ref"].reference = True
    schema.add_foreign_key("j.l", "p.id", orphans="keep").add_foreign_key("j.r", "s.id", orphans="keep")
    return schema.add_foreign_key("p.ref", "ref.id", orphans="keep"), {**tables, "j": j, "ref": ref}


def orphans_kept_in_cycles(d: Rng) -> Shape:
    """Of an extension and what hangs on it, of a self reference, and of a link that opens a cycle."""
    p, s = d.parent(MANY), d.parent(80)
    x = d.parent(MANY, 61)
    y = d.child(x, "xid", 2)
    y.loc[d.rng.random(len(y)) < 0.1, "xid"] = 5
    schema = keyed(Schema(), p="id", s="id", x="id", y="id").add_foreign_key("x.id", "p.id", orphans="keep")
    schema.add_foreign_key("y.xid", "x.id", orphans="keep")
    boss = np.array([d.rng.integers(0, max(1, i // 8)) for i in range(MANY)])
    p["boss"] = pd.Series(p["id"].to_numpy()[boss]).where(d.rng.random(MANY) < 0.9, -1)
    s["best"] = d.pick(p["id"], len(s), null=0.3)
    s.loc[:9, "best"] = 70_000 + np.arange(10)
    p["sku"] = d.pick(s["id"], MANY)
    schema.add_foreign_key("p.boss", "p.id", orphans="keep").add_foreign_key("s.best", "p.id", orphans="keep")
    return schema.add_foreign_key("p.sku", "s.id"), {"p": p, "s": s, "x": x, "y": y}
