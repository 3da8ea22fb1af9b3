"""Shapes whose foreign keys share columns, none of which follows from another."""

from __future__ import annotations

import numpy as np
import pandas as pd

from spark_synth.schema.model import Schema
from tests.zoo.draws import Rng, Shape, keyed
from tests.zoo.shapes import order_lines


def of_one_order(d: Rng) -> Shape:
    """Order lines are sent in shipments of their order, some lines in several."""
    schema, tables = order_lines(d)
    p, c = tables["p"], tables["c"]
    v = d.child(p, "pid", 2).drop(columns="id")
    v.insert(1, "no", v.groupby("pid").cumcount() + 1)
    both = c[["pid", "line"]].merge(v[["pid", "no"]], on="pid")
    picked = both.sample(frac=0.5, random_state=1).sort_values(["pid", "line", "no"], ignore_index=True)
    e = pd.concat([picked, d.values(len(picked))], axis=1)
    keyed(schema, v=["pid", "no"], e=["pid", "line", "no"]).add_foreign_key("v.pid", "p.id")
    schema.add_foreign_key("e.(pid,line)", "c.(pid,line)").add_foreign_key("e.(pid,no)", "v.(pid,no)")
    return schema, {**tables, "v": v, "e": e}


def tenants(d: Rng, count: int = 60, reference: bool = False) -> Shape:
    """Every key has its tenant: staff with managers, customers, products, orders (some of no customer), baskets."""
    t = d.parent(count)
    share = d.rng.dirichlet(np.full(len(t), 2.0))
    u, q, s, o = (_of_tenants(d, share, n) for n in (300, 200, 150, 900))
    above = s.groupby("tenant").cumcount()
    boss = np.where(above > 0, (d.rng.random(len(s)) * np.minimum(above, 4)).astype(int) + 1, 0)
    s["boss"] = pd.Series(boss).where(above > 0).astype("Int64")
    o["customer"] = _inside(d, o, u).where(d.rng.random(len(o)) < 0.8).astype("Int64")
    at = np.repeat(np.arange(len(o)), d.rng.geometric(0.4, len(o)) - 1)
    b = o[["tenant", "id"]].iloc[at].reset_index(drop=True).rename(columns={"id": "order"})
    b["product"] = _inside(d, b, q)
    b = b.drop_duplicates(ignore_index=True)
    b = pd.concat([b, d.values(len(b))], axis=1)
    schema = Schema().add_table("t", "id", {"a": "numeric", "b": "numeric", "kind": "categorical"}, reference)
    keyed(schema, u=["tenant", "id"], q=["tenant", "id"], s=["tenant", "id"], o=["tenant", "id"])
    keyed(schema, b=["tenant", "order", "product"])
    for name in "uqsob":
        schema.add_foreign_key(f"{name}.tenant", "t.id")
    schema.add_foreign_key("s.(tenant,boss)", "s.(tenant,id)").add_foreign_key("o.(tenant,customer)", "u.(tenant,id)")
    schema.add_foreign_key("b.(tenant,order)", "o.(tenant,id)").add_foreign_key("b.(tenant,product)", "q.(tenant,id)")
    return schema, {"t": t, "u": u, "q": q, "s": s, "o": o, "b": b}


def few_tenants(d: Rng) -> Shape:
    """The same where tenants are too few to own their rows."""
    return tenants(d, 12)


def tenants_kept(d: Rng) -> Shape:
    """The same with the real tenants."""
    return tenants(d, 12, reference=True)


def _of_tenants(d: Rng, share: np.ndarray, n: int) -> pd.DataFrame:
    """Rows with their tenant and their number in it; every tenant has some."""
    every = np.arange(len(share))
    rows = pd.DataFrame({"tenant": np.sort(np.concatenate([every, d.rng.choice(every, n - len(every), p=share)])) + 1})
    rows["id"] = rows.groupby("tenant").cumcount() + 1
    return pd.concat([rows, d.values(n)], axis=1)


def _inside(d: Rng, rows: pd.DataFrame, parents: pd.DataFrame) -> pd.Series:
    """The number of a parent of the same tenant for every row, low numbers more often."""
    count = rows["tenant"].map(parents["tenant"].value_counts()).to_numpy()
    return pd.Series(np.floor(d.rng.random(len(rows)) ** 2 * count).astype(np.int64) + 1)
