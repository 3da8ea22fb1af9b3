"""A small shop: two tables, a reference table, and every awkward kind of column."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from spark_synth.evaluation import evaluate_database, write_report
from spark_synth.schema import Schema
from tests.evaluation.made_up import ABOUT, made_up_metrics, made_up_schema

TYPES = {
    "country": "code string, `name` string",
    "customer": "id int, country string, `city.of birth` string, `größe` double, `all null` double, constant int, "
    "vip boolean, balance decimal(10,2), born date, note string, email string",
    "order": "number bigint, customer int, amount double, channel string, placed timestamp",
}


OWNERS = {"customer": None, "order": "order.customer", "country": None}


@dataclass(frozen=True)
class Settings:
    """The evaluate section of a configuration."""

    max_pair_columns: int = 40
    sample_rows: int = 100_000
    detection_rows: int = 0
    privacy_rows: int = 5_000


def shop_schema() -> Schema:
    """The schema of the shop."""
    schema = Schema()
    schema.add_table("country", "code", {"code": "key", "name": "categorical"}, reference=True)
    kinds = ["key", "key", "categorical", "numeric", "numeric", "numeric", "boolean", "numeric", "datetime", "text"]
    names = ["id", "country", "city.of birth", "größe", "all null", "constant", "vip", "balance", "born", "note"]
    schema.add_table("customer", "id", dict(zip(names, kinds, strict=True)) | {"email": "pii:email"})
    kinds_of_order = {"number": "key", "amount": "numeric", "channel": "categorical", "placed": "datetime"}
    schema.add_table("order", "number", kinds_of_order)
    schema.add_foreign_key("customer.country", "country.code")
    schema.add_foreign_key("order.customer", "customer.id", owner=True)
    return schema


def shop(seed: int, customers: int = 300, first: int = 1) -> dict[str, pd.DataFrame]:
    """Rows of the shop: the city goes with the size, the orders' amounts and channels with the customer."""
    rng = np.random.default_rng(seed)
    size = rng.normal(170, 10, customers)
    ids = np.arange(first, first + customers)
    tall = size > 170
    customer = pd.DataFrame(
        {
            "id": ids,
            "country": np.array(["NO", "SE", None])[rng.choice(3, customers, p=[0.6, 0.3, 0.1])],
            "city.of birth": np.where(tall, "Bergen", "Århus `x`"),
            "größe": size,
            "all null": np.nan,
            "constant": 7,
            "vip": rng.random(customers) < 0.2,
            "balance": [Decimal(f"{v:.2f}") for v in rng.normal(0, 50, customers)],
            "born": [dt.date(1950, 1, 1) + dt.timedelta(days=int(d)) for d in rng.integers(0, 20000, customers)],
            "note": [f"secret {seed}-{i}" for i in range(customers)],
            "email": [f"person{i}@example.org" if i else "same@example.org" for i in ids - first],
        }
    )
    customer["city.of birth"] = customer["city.of birth"].where(customer.index > 0, f"Rareton {seed}")
    owner = np.repeat(ids, rng.poisson(3, customers))
    amount = size[owner - first] * 2 + rng.normal(0, 5, len(owner))
    order = pd.DataFrame(
        {
            "number": np.arange(len(owner)) + first * 10_000_000_000,
            "customer": owner,
            "amount": amount,
            "channel": np.where(tall[owner - first], "web", "shop"),
            "placed": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 10**8, len(owner)), unit="s"),
        }
    )
    country = pd.DataFrame({"code": ["NO", "SE"], "name": ["Norway", "Sweden"]})
    return {"country": country, "customer": customer, "order": order}


def plain(value: Any) -> Any:  # noqa: ANN401 - a cell
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime()
    return None if pd.isna(value) else value


@pytest.fixture(scope="session")
def draw() -> Callable[..., dict[str, pd.DataFrame]]:
    """Draw a shop: `draw(seed, customers=300, first=1)`."""
    return shop


@pytest.fixture(scope="session")
def frames(spark: SparkSession) -> Callable[..., dict[str, DataFrame]]:
    """Pandas tables in Spark: those of the shop, or of other types."""

    def made(tables: dict[str, pd.DataFrame], types: dict[str, str] = TYPES) -> dict[str, DataFrame]:
        return {
            t: spark.createDataFrame(
                [[plain(v) for v in row] for row in df.astype(object).to_numpy().tolist()], types[t]
            )
            for t, df in tables.items()
        }

    return made


@pytest.fixture(scope="session")
def compare(frames: Callable[[dict[str, pd.DataFrame]], dict[str, DataFrame]]) -> Callable[..., dict[str, Any]]:
    """Evaluate two sets of pandas tables of the shop."""

    def run(real: dict[str, pd.DataFrame], synth: dict[str, pd.DataFrame], **options: Any) -> dict[str, Any]:  # noqa: ANN401
        return evaluate_database(
            frames(real),
            frames(synth),
            shop_schema(),
            ratio=options.get("ratio", 1.0),
            owners=OWNERS,
            references={"country"},
            settings=Settings(**options.get("settings", {})),
        )

    return run


@pytest.fixture(scope="session")
def good(compare: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """Metrics of another draw from the same shop: what a perfect generator would make."""
    return compare(shop(1), shop(2, first=1001))


def _report(tables: int, folder: Path) -> Path:
    schema = made_up_schema(tables)
    return write_report(made_up_metrics(schema), folder, ABOUT, schema)


@pytest.fixture(scope="session")
def small_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first page of the report of fourteen made-up tables with odd names."""
    return _report(14, tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def large_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Likewise of three hundred tables."""
    return _report(300, tmp_path_factory.mktemp("large"))
