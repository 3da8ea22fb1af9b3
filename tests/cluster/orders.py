"""A small database of orders, and the options of a run on it that takes seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

SCHEMA = """
tables:
  products:
    primary_key: [sku]
    reference: true
    columns: {sku: key, colour: categorical}
  customers:
    primary_key: [id]
    columns: {id: key, joined: datetime, score: numeric}
  orders:
    primary_key: [id]
    columns: {id: key, customer: key, sku: key, placed: datetime, state: categorical, total: numeric}
    foreign_keys:
      - {columns: [customer], parent: customers}
      - {columns: [sku], parent: products}
"""
KEYS = {"products": "sku", "customers": "id", "orders": "id"}
CUSTOMERS, PRODUCTS = 400, 12
OPTIONS = {
    "model.hidden": 32,
    "model.head": 16,
    "model.max_bins": 16,
    "train.max_minutes": 60,  # epochs alone end a training: a clock would not end two of them alike
    "train.max_epochs": 25,
    "evaluate.max_pair_columns": 2,
    "evaluate.sample_rows": 500,
}


def make_source(folder: Path) -> Path:
    """Write the tables as Parquet with schema.yaml; the folder."""
    folder.mkdir(parents=True)
    (folder / "schema.yaml").write_text(SCHEMA)
    rng = np.random.default_rng(5)
    skus = [f"P-{n:03d}" for n in range(PRODUCTS)]
    products = pd.DataFrame({"sku": skus, "colour": rng.choice(["red", "blue"], PRODUCTS)})
    ids = np.arange(CUSTOMERS) + 1
    joined = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, CUSTOMERS), "D")
    customers = pd.DataFrame({"id": ids, "joined": joined.astype("datetime64[us]")})
    customers["score"] = rng.gamma(2, 30, CUSTOMERS).round(1)
    owner = np.repeat(np.arange(CUSTOMERS), rng.poisson(4, CUSTOMERS))
    orders = pd.DataFrame({"id": 5000 + np.arange(len(owner)), "customer": ids[owner]})
    orders["sku"] = [skus[int(r * r * PRODUCTS)] for r in rng.random(len(owner))]
    later = (rng.gamma(2, 40, len(owner)) * 86400).astype(int).astype("timedelta64[s]")
    orders["placed"] = (joined.to_numpy()[owner] + later).astype("datetime64[us]")
    orders["state"] = rng.choice(["open", "sent", "done"], len(owner), p=[0.2, 0.3, 0.5])
    orders["total"] = (rng.gamma(2, 20, len(owner)) * (1 + owner % 3)).round(2)
    for name, table in {"products": products, "customers": customers, "orders": orders}.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
    return folder
