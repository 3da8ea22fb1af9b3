"""A zoo of schema shapes: small databases, each with one thing (or two together) that real schemas do."""

from __future__ import annotations

import uuid

import numpy as np
import pandas as pd

from spark_synth.schema.model import Column, Kind, Schema
from tests.zoo.draws import MANY, VALUES, Rng, Shape, keyed


def single(d: Rng) -> Shape:
    return Schema().add_table("t", None, VALUES), {"t": d.values(MANY)}


def text_keys(d: Rng) -> Shape:
    p = d.parent(MANY)
    p["id"] = [f"AB-{i:05d}" for i in p["id"]]
    c = d.child(p, "pid", 3)
    c["id"] = [str(uuid.UUID(int=int(i) * 7919 + 2**100, version=4)) for i in c["id"]]
    return keyed(Schema(), p="id", c="id").add_foreign_key("c.pid", "p.id"), {"p": p, "c": c}


def chain(d: Rng) -> Shape:
    p = d.parent(MANY)
    c = d.child(p, "pid", 2)
    g = d.child(c, "cid", 2)
    h = d.child(g, "gid", 1)
    schema = keyed(Schema(), p="id", c="id", g="id", h="id").add_foreign_key("c.pid", "p.id")
    return schema.add_foreign_key("g.cid", "c.id").add_foreign_key("h.gid", "g.id"), {"p": p, "c": c, "g": g, "h": h}


def two_children(d: Rng) -> Shape:
    p = d.parent(MANY)
    schema = keyed(Schema(), p="id", c="id", e="id").add_foreign_key("c.pid", "p.id").add_foreign_key("e.pid", "p.id")
    return schema, {"p": p, "c": d.child(p, "pid", 2), "e": d.child(p, "pid", 0.3)}


def extension(d: Rng) -> Shape:
    p = d.parent(MANY)
    return keyed(Schema(), p="id", x="id").add_foreign_key("x.id", "p.id"), {"p": p, "x": d.parent(MANY)}


def part_extension(d: Rng) -> Shape:
    p = d.parent(MANY)
    x = d.parent(MANY)[d.rng.random(MANY) < 0.4].reset_index(drop=True)
    c = d.child(x, "xid", 2)
    schema = keyed(Schema(), p="id", x="id", c="id").add_foreign_key("x.id", "p.id")
    return schema.add_foreign_key("c.xid", "x.id"), {"p": p, "x": x, "c": c}


def two_keys_to_one_parent(d: Rng) -> Shape:
    p = d.parent(MANY)
    t = d.child(p, "source", 3)
    t["target"] = d.pick(p["id"], len(t))
    schema = keyed(Schema(), p="id", t="id").add_foreign_key("t.source", "p.id").add_foreign_key("t.target", "p.id")
    return schema, {"p": p, "t": t}


def three_keys_to_one_parent(d: Rng) -> Shape:
    schema, tables = two_keys_to_one_parent(d)
    tables["t"]["broker"] = d.pick(tables["p"]["id"], len(tables["t"]), null=0.5)
    return schema.add_foreign_key("t.broker", "p.id"), tables


def null_owner(d: Rng) -> Shape:
    p = d.parent(MANY)
    c = d.child(p, "pid", 3)
    c["pid"] = c["pid"].where(d.rng.random(len(c)) > 0.2).astype("Int64")
    return keyed(Schema(), p="id", c="id").add_foreign_key("c.pid", "p.id"), {"p": p, "c": c}


def null_link(d: Rng) -> Shape:
    schema, tables = two_keys_to_one_parent(d)
    t = tables["t"]
    t["target"] = t["target"].where(t["kind"] != "x").astype("Int64")  # NULL in the right rows
    return schema, tables


def self_reference(d: Rng) -> Shape:
    p = d.parent(MANY)
    boss = np.array([d.rng.integers(0, max(1, i)) for i in range(MANY)])
    p["boss"] = pd.Series(p["id"].to_numpy()[boss]).where(np.arange(MANY) > 5).astype("Int64")
    return keyed(Schema(), p="id").add_foreign_key("p.boss", "p.id"), {"p": p}


def two_self_references(d: Rng) -> Shape:
    """A mother and a father, both unknown of some."""
    schema, tables = self_reference(d)
    p = tables["p"]
    father = np.array([d.rng.integers(0, max(1, i)) for i in range(MANY)])
    known = (d.rng.random(MANY) < 0.7) & (np.arange(MANY) > 0)
    tables["p"] = p.assign(father=pd.Series(p["id"].to_numpy()[father]).where(known).astype("Int64"))
    return schema.add_foreign_key("p.father", "p.id"), tables


def self_reference_with_owner(d: Rng) -> Shape:
    p = d.parent(MANY)
    c = d.child(p, "pid", 3)
    before = np.array([d.rng.integers(0, max(1, i)) for i in range(len(c))])
    c["reply"] = pd.Series(c["id"].to_numpy()[before]).where(d.rng.random(len(c)) < 0.6).astype("Int64")
    schema = keyed(Schema(), p="id", c="id").add_foreign_key("c.pid", "p.id")
    return schema.add_foreign_key("c.reply", "c.id"), {"p": p, "c": c}


def composite_parent(d: Rng) -> Shape:
    p = d.values(MANY)
    p.insert(0, "region", np.arange(MANY) % 20 + 1)
    p.insert(1, "number", np.arange(MANY) // 20 + 1)
    at = np.repeat(np.arange(MANY), d.rng.geometric(0.3, MANY) - 1)
    c = d.parent(len(at))
    c["region"], c["number"] = p["region"].to_numpy()[at], p["number"].to_numpy()[at]
    schema = keyed(Schema(), p=["region", "number"], c="id")
    return schema.add_foreign_key("c.(region,number)", "p.(region,number)"), {"p": p, "c": c}


def order_lines(d: Rng) -> Shape:
    p, s = d.parent(MANY), d.parent(80)
    c = d.child(p, "pid", 3).drop(columns="id")
    c.insert(1, "line", c.groupby("pid").cumcount() + 1)
    c["sku"] = d.pick(s["id"], len(c))
    schema = keyed(Schema(), p="id", s="id", c=["pid", "line"]).add_foreign_key("c.pid", "p.id")
    return schema.add_foreign_key("c.sku", "s.id"), {"p": p, "s": s, "c": c}


def under_order_lines(d: Rng) -> Shape:
    schema, tables = order_lines(d)
    c = tables["c"]
    at = np.repeat(np.arange(len(c)), d.rng.geometric(0.5, len(c)) - 1)
    e = d.parent(len(at))
    e["pid"], e["line"] = c["pid"].to_numpy()[at], c["line"].to_numpy()[at]
    keyed(schema, e="id").add_foreign_key("e.(pid,line)", "c.(pid,line)")
    return schema, {**tables, "e": e}


def two_ways(d: Rng) -> Shape:
    """A claim is of the patient of its visit; a letter of a doctor, of the patient of its claim, if it is about one."""
    p, q = d.parent(MANY), d.parent(200)
    v = d.child(p, "pid", 2)
    c = d.child(v, "vid", 1)
    c["pid"] = v.set_index("id")["pid"].loc[c["vid"]].to_numpy()
    e = d.child(q, "qid", 4)
    e["cid"] = d.pick(c["id"], len(e), null=0.2)
    e["pid"] = e["cid"].map(c.set_index("id")["pid"]).astype("Int64")
    schema = keyed(Schema(), p="id", q="id", v="id", c="id", e="id").add_foreign_key("v.pid", "p.id")
    schema.add_foreign_key("c.vid", "v.id").add_foreign_key("c.pid", "p.id")
    schema.add_foreign_key("e.qid", "q.id", owner=True).add_foreign_key("e.cid", "c.id")
    return schema.add_foreign_key("e.pid", "p.id"), {"p": p, "q": q, "v": v, "c": c, "e": e}


def overlapping_keys(d: Rng) -> Shape:
    schema, tables = under_order_lines(d)
    schema.add_foreign_key("e.pid", "p.id")
    return schema, tables


def many_to_many(d: Rng) -> Shape:
    p, q = d.parent(300), d.parent(200)
    schema = keyed(Schema(), p="id", q="id", j=["l", "r"]).add_foreign_key("j.l", "p.id").add_foreign_key("j.r", "q.id")
    return schema, {"p": p, "q": q, "j": d.pairs(p["id"], q["id"], 1500)}


def many_to_many_with_key(d: Rng) -> Shape:
    schema, tables = many_to_many(d)
    tables["j"].insert(0, "id", np.arange(len(tables["j"])))
    schema.tables["j"].columns["id"] = Column(kind=Kind.KEY)
    schema.tables["j"].primary_key = ("id",)
    return schema.add_table("k", "id", VALUES).add_foreign_key("k.j", "j.id"), {
        **tables,
        "k": d.child(tables["j"], "j", 1),
    }


def many_to_many_itself(d: Rng) -> Shape:
    p = d.parent(400)
    j = d.pairs(p["id"], p["id"], 1500)
    schema = keyed(Schema(), p="id", j=["l", "r"]).add_foreign_key("j.l", "p.id").add_foreign_key("j.r", "p.id")
    return schema, {"p": p, "j": j}


def bare_join(d: Rng) -> Shape:
    schema, tables = many_to_many(d)
    tables["j"] = tables["j"][["l", "r"]]
    schema.tables["j"].columns = {c: v for c, v in schema.tables["j"].columns.items() if c in ("l", "r")}
    return schema, tables


def three_ways(d: Rng) -> Shape:
    p, q, s = d.parent(300), d.parent(200), d.parent(100)
    j = d.pairs(p["id"], q["id"], 1500)
    j["s"] = d.pick(s["id"], len(j))
    schema = keyed(Schema(), p="id", q="id", s="id", j=["l", "r", "s"])
    for column, parent in (("l", "p"), ("r", "q"), ("s", "s")):
        schema.add_foreign_key(f"j.{column}", f"{parent}.id")
    return schema, {"p": p, "q": q, "s": s, "j": j}


def unique_column(d: Rng) -> Shape:
    p = d.parent(MANY)
    p["code"] = [f"C{i * 37 % 9973:04d}" for i in p["id"]]
    c = d.child(p, "code", 3, of="code")
    schema = keyed(Schema(), p="id", c="id")
    schema.tables["p"].columns["code"] = Column(kind=Kind.KEY)
    return schema.add_foreign_key("c.code", "p.code"), {"p": p, "c": c}


def cycle_of_two(d: Rng) -> Shape:
    p, q = d.parent(MANY), d.parent(200)
    p["q"], q["p"] = d.pick(q["id"], MANY), d.pick(p["id"], 200, null=0.3)
    schema = keyed(Schema(), p="id", q="id").add_foreign_key("p.q", "q.id").add_foreign_key("q.p", "p.id")
    return schema, {"p": p, "q": q}


def cycle_of_three(d: Rng) -> Shape:
    p, q, s = d.parent(300), d.parent(200), d.parent(400)
    p["q"], q["s"], s["p"] = d.pick(q["id"], 300), d.pick(s["id"], 200), d.pick(p["id"], 400, null=0.5)
    schema = keyed(Schema(), p="id", q="id", s="id", c="id").add_foreign_key("p.q", "q.id")
    schema.add_foreign_key("q.s", "s.id").add_foreign_key("s.p", "p.id").add_foreign_key("c.pid", "p.id")
    return schema, {"p": p, "q": q, "s": s, "c": d.child(p, "pid", 2)}


def apart(d: Rng) -> Shape:
    schema, tables = two_children(d)
    p = d.parent(MANY)
    keyed(schema, u="id", v="id", alone="id").add_foreign_key("v.uid", "u.id")
    return schema, {**tables, "u": p, "v": d.child(p, "uid", 1), "alone": d.parent(50)}


def references(d: Rng) -> Shape:
    schema, tables = two_children(d)
    ref = pd.DataFrame({"code": [f"R{i}" for i in range(12)], "title": [f"title {i}" for i in range(12)]})
    schema.add_table("ref", "code", {"title": "text"}, reference=True)
    for t in ("p", "c"):
        tables[t]["ref"] = d.pick(ref["code"], len(tables[t]))
        schema.add_foreign_key(f"{t}.ref", "ref.code")
    return schema, {**tables, "ref": ref}


def reference_chain(d: Rng) -> Shape:
    """References that refer to each other and to themselves, with a table that refers to both."""
    schema, tables = two_children(d)
    region, country = d.parent(6), d.parent(20)
    country["region"], country["near"] = d.pick(region["id"], 20), d.pick(country["id"], 20, null=0.3)
    keyed(schema, region="id", country="id")
    for t in ("region", "country"):
        schema.tables[t].reference = True
    schema.add_foreign_key("country.region", "region.id").add_foreign_key("country.near", "country.id")
    tables["p"]["country"], tables["p"]["region"] = d.pick(country["id"], MANY), d.pick(region["id"], MANY)
    schema.add_foreign_key("p.country", "country.id").add_foreign_key("p.region", "region.id")
    return schema, {**tables, "region": region, "country": country}


def reference_in_key(d: Rng) -> Shape:
    """A join table into a reference, each pair once, and a table that extends the reference."""
    p, ref = d.parent(300), d.parent(24)
    j, x = d.pairs(p["id"], ref["id"], 1200), d.parent(24)
    schema = keyed(Schema(), p="id", ref="id", j=["l", "r"], x="id").add_foreign_key("j.l", "p.id")
    schema.tables["ref"].reference = True
    return schema.add_foreign_key("j.r", "ref.id").add_foreign_key("x.id", "ref.id"), {
        "p": p,
        "ref": ref,
        "j": j,
        "x": x,
    }


def hub(d: Rng) -> Shape:
    h, p = d.parent(5), d.parent(MANY)
    p["hub"] = d.pick(h["id"], MANY)
    schema = keyed(Schema(), h="id", p="id", c="id").add_foreign_key("p.hub", "h.id").add_foreign_key("c.pid", "p.id")
    return schema, {"h": h, "p": p, "c": d.child(p, "pid", 2)}


def long_family(d: Rng) -> Shape:
    p = d.parent(60)
    owners = np.concatenate([np.repeat(p["id"].to_numpy()[1:], 8), np.repeat(p["id"].to_numpy()[:1], 4000)])
    c = d.parent(len(owners))
    c["pid"] = owners
    days = pd.to_timedelta(c.groupby("pid").cumcount() // 3, unit="D")
    c["day"] = (pd.Timestamp("2020-01-01") + days).astype("datetime64[us]")
    schema = keyed(Schema(), p="id", c="id").add_foreign_key("c.pid", "p.id")
    schema.tables["c"].columns["day"] = Column(kind=Kind.DATETIME)
    return schema, {"p": p, "c": c}


def everything(d: Rng) -> Shape:
    """An order system: references, composite keys, a join table, a cycle, a self reference and an extension."""
    schema, tables = order_lines(d)
    p, q = tables["p"], d.parent(200)
    boss = np.array([d.rng.integers(0, max(1, i)) for i in range(200)])
    q["boss"] = pd.Series(q["id"].to_numpy()[boss]).where(np.arange(200) > 3).astype("Int64")
    q["favourite"], p["seller"] = d.pick(p["id"], 200, null=0.4), d.pick(q["id"], len(p))
    keyed(schema, q="id", x="id", j=["l", "r"]).add_foreign_key("q.boss", "q.id")
    schema.add_foreign_key("q.favourite", "p.id").add_foreign_key("p.seller", "q.id").add_foreign_key("x.id", "q.id")
    schema.add_foreign_key("j.l", "q.id").add_foreign_key("j.r", "s.id")
    j = d.pairs(q["id"], tables["s"]["id"], 900)
    return schema, {**tables, "q": q, "x": d.parent(200), "j": j}
