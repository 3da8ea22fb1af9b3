"""Families that take the courses of real ones: what hangs on the kind of an owner is as in the real tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from spark_synth import pipeline
from spark_synth.config import load_config
from spark_synth.schema import Schema, save_schema
from tests.places import CONF

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(900)]

PATIENTS, SICK = 600, 0.3
FAILED = {"well": 0.1, "sick": 0.6}  # chance that a visit failed, by the kind of the patient
Tables = dict[str, pd.DataFrame]


def real() -> Tables:
    """Well patients come three times, a month apart; sick ones eight to ten times, two days apart, and pay more."""
    rng = np.random.default_rng(8)
    kinds = np.where(rng.random(PATIENTS) < SICK, "sick", "well")
    rows = []
    for patient, kind in enumerate(kinds):
        count, gap, pays = (rng.integers(8, 11), 2, 80) if kind == "sick" else (3, 30, 20)
        start = pd.Timestamp("2022-01-01") + pd.Timedelta(days=int(rng.integers(0, 500)))
        for n in range(count):
            failed = rng.random() < FAILED[kind]
            rows.append((patient, start + pd.Timedelta(days=int(n * gap)), round(rng.normal(pays, 5)), failed))
    visits = pd.DataFrame(rows, columns=["patient", "day", "paid", "failed"])
    visits["day"] = visits["day"].dt.date
    return {"patients": pd.DataFrame({"id": range(PATIENTS), "kind": kinds}), "visits": visits}


@pytest.fixture(scope="module")
def both(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tables, Tables]:
    """(real, made)"""
    folder, tables = tmp_path_factory.mktemp("clinic"), real()
    for name, rows in tables.items():
        rows.to_parquet(folder / f"{name}.parquet", index=False)
    schema = Schema().add_table("patients", "id", {"kind": "categorical"})
    schema.add_table("visits", None, {"day": "datetime", "paid": "numeric", "failed": "boolean"})
    save_schema(schema.add_foreign_key("visits.patient", "patients.id"), folder / "schema.yaml")
    options: dict[str, object] = {"source.path": folder, "schema": folder / "schema.yaml", "output": folder / "out"}
    options |= {"model.family": "clustered", "train.max_epochs": 30}
    config = load_config(CONF, [f"{k}={v}" for k, v in options.items()], identifier="made")
    pipeline.train(config)
    made = pipeline.generate(config) / "tables"
    return tables, {t: DeltaTable(made / t).to_pandas() for t in tables}


def joined(tables: Tables) -> pd.DataFrame:
    """Visits in the order of time, with the kind of their patient and the days since the visit before."""
    rows = tables["visits"].merge(tables["patients"], left_on="patient", right_on="id")
    rows["day"] = pd.to_datetime(rows["day"])
    rows = rows.sort_values(["patient", "day"], ignore_index=True)
    return rows.assign(gap=rows.groupby("patient")["day"].diff().dt.days)


def test_families_have_the_courses_of_their_kind(both: tuple[Tables, Tables]) -> None:
    one, other = map(joined, both)
    for kind in FAILED:
        sizes = [rows[rows["kind"] == kind].groupby("patient").size() for rows in (one, other)]
        shares = [s.value_counts(normalize=True) for s in sizes]
        assert shares[0].sub(shares[1], fill_value=0).abs().sum() / 2 <= 0.1, kind
        gaps = [rows[rows["kind"] == kind]["gap"].median() for rows in (one, other)]
        assert gaps[1] == pytest.approx(gaps[0], rel=0.1), kind


def test_a_known_conditional_distribution_is_recovered(both: tuple[Tables, Tables]) -> None:
    one, other = map(joined, both)
    assert (other.drop_duplicates("patient")["kind"] == "sick").mean() == pytest.approx(SICK, abs=0.06)
    for kind, failed in FAILED.items():
        rows = [r[r["kind"] == kind] for r in (one, other)]
        assert rows[1]["failed"].astype(float).mean() == pytest.approx(failed, abs=0.06), kind
        means = [float(r["paid"].astype(float).mean()) for r in rows]
        assert means[1] == pytest.approx(means[0], abs=3), kind
