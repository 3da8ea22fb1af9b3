from __future__ import annotations

import datetime
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from spark_synth.encoding.fit import Fitted
from spark_synth.encoding.training_set import TrainingSet, write_training_sets
from spark_synth.schema import Schema
from tests.encoding.fitting import SEGMENT_ROWS, fitted_to


class Encoded(NamedTuple):
    """Shops and their sales, from rows to packs."""

    sales: pd.DataFrame
    fitted: Fitted
    sets: dict[str, TrainingSet]


@pytest.fixture(scope="session")
def encoded(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Encoded:
    """80 shops, some without sales, one with 130 (three segments); 12 sales have no shop."""
    rng = np.random.default_rng(4)
    opened = [datetime.date(2020, 1, 1) + datetime.timedelta(days=int(d)) for d in rng.integers(0, 900, 80)]
    shops = pd.DataFrame({"id": np.arange(80), "opened": opened, "kind": rng.choice(["a", "b"], 80)})
    degrees = rng.poisson(3, 80)
    degrees[:2] = 0, 130
    owner = np.repeat(np.arange(80), degrees)
    gaps = rng.integers(1, 9, len(owner))
    first = np.repeat(np.cumsum(degrees) - degrees, degrees)
    since = np.cumsum(gaps) - np.cumsum(gaps)[first] + 1
    days = [opened[s] + datetime.timedelta(days=int(d)) for s, d in zip(owner, since, strict=True)]
    sales = pd.DataFrame({"shop": owner.astype(object), "day": days, "amount": rng.gamma(2, 10, len(owner)).round(2)})
    loose = pd.DataFrame({"shop": [None] * 12, "day": days[:12], "amount": [1.5] * 12})
    sales = pd.concat([sales, loose], ignore_index=True)
    sales = sales.sample(frac=1, random_state=0, ignore_index=True)
    sales.insert(0, "no", np.arange(len(sales)))
    schema = Schema()
    schema.add_table("shops", "id", {"opened": "datetime", "kind": "categorical"})
    schema.add_table("sales", "no", {"shop": "key", "day": "datetime", "amount": "numeric"})
    schema.add_foreign_key("sales.shop", "shops.id")
    types = {"shops": "id int, opened date, kind string", "sales": "no int, shop int, day date, amount double"}
    tables = {
        "shops": spark.createDataFrame(shops.astype(object).to_numpy().tolist(), types["shops"]),
        "sales": spark.createDataFrame(sales.astype(object).to_numpy().tolist(), types["sales"]),
    }
    fitted = fitted_to(spark, schema, tables, tmp_path_factory.mktemp("encoded"))
    sets = write_training_sets(spark, fitted, SEGMENT_ROWS, 0.2, lambda _: 1, lambda _: None)
    return Encoded(sales, fitted, sets)
