"""Sums of degrees over groups are as in the real tables, and degrees stay what they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from scipy.stats import ks_2samp

from spark_synth.encoding.codecs import NumericCodec
from spark_synth.encoding.edge_plan import OwnerPlan
from spark_synth.encoding.plan import DegreePlan, TablePlan, TotalPlan
from spark_synth.generation.run import Generation
from spark_synth.generation.totals import with_totals

GROUPS, ALONE = 60, 30
OWNER = OwnerPlan("b.o", ("tenant", "order"), "o", ("tenant", "id"), 0, 1)


def drawn(rng: np.random.Generator) -> pd.DataFrame:
    """Orders of 60 tenants, some of which have many, and 30 of no tenant; degrees say nothing of the tenant."""
    share = rng.dirichlet(np.full(GROUPS, 2.0))
    tenant = [*rng.choice(GROUPS, 870, p=share), *[None] * ALONE]
    rows = pd.DataFrame({"__idx": range(900), "tenant": pd.array(tenant, dtype="Int64")})
    return rows.assign(__cell=0, __deg_0=rng.geometric(0.4, 900) - 1)


def wanted(rng: np.random.Generator, rows: pd.DataFrame) -> list[int]:
    """Sums that are spread more than those that are drawn, though of the same mean."""
    sums = rows.groupby("tenant")["__deg_0"].sum().to_numpy()
    share = rng.permuted(sums * np.exp(rng.normal(0, 0.3, len(sums))))
    return sorted(rng.multinomial(int(sums.sum()), share / share.sum()).tolist())


@pytest.fixture
def run(spark: SparkSession, tmp_path: Path) -> tuple[Generation, pd.DataFrame]:
    """The orders, drawn, and what is known of them."""
    rng = np.random.default_rng(0)
    rows = drawn(rng)
    histogram = list(enumerate(np.bincount(rows["__deg_0"]).tolist()))
    degree = DegreePlan("b", "b.o", NumericCodec(False), histogram, int(rows["__deg_0"].sum()), False)
    degree.totals = [TotalPlan(["tenant"], wanted(rng, rows))]
    plans = {"o": TablePlan("o", {"tenant": "int"}, 900, degrees=[degree]), "b": TablePlan("b", {}, 1, owner=OWNER)}
    spark.createDataFrame(rows[["__idx", "tenant"]].astype(object), "__idx bigint, tenant int").write.parquet(
        f"{tmp_path}/o"
    )
    return Generation(spark, plans, "", str(tmp_path), {}, 1.0, 5, 512, None), rows


def brought(run: Generation, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with their degrees."""
    given = run.spark.createDataFrame(rows.drop(columns="tenant"), "__idx bigint, __cell int, __deg_0 bigint")
    found = with_totals(run, run.plans["b"], OWNER, given)
    assert found.columns == given.columns
    return rows.drop(columns="__deg_0").merge(found.toPandas(), on="__idx")


def test_sums_and_degrees_are_as_in_the_real_tables(run: tuple[Generation, pd.DataFrame]) -> None:
    made = brought(*run)
    degree, rows = run[0].plans["o"].degrees[0], run[1]
    sums = made.groupby("tenant")["__deg_0"].sum()
    assert ks_2samp(sums, degree.totals[0].sums).statistic <= 0.02
    before = rows.groupby("tenant")["__deg_0"].sum()
    assert ks_2samp(before, degree.totals[0].sums).statistic > 0.1
    assert sums.corr(before, method="spearman") > 0.95
    assert ks_2samp(made["__deg_0"], rows["__deg_0"]).statistic <= 0.03
    alone = made["tenant"].isna()
    assert made.loc[alone, "__deg_0"].sum() == pytest.approx(rows.loc[rows["tenant"].isna(), "__deg_0"].sum(), abs=15)


def test_real_rows_keep_their_degrees(run: tuple[Generation, pd.DataFrame]) -> None:
    generation, rows = run
    made = brought(replace(generation, kept={"o": f"{generation.work}/o"}), rows)
    assert made["__deg_0"].tolist() == rows["__deg_0"].tolist()
