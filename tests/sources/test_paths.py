"""Foreign keys that lead where another one leads too."""

from __future__ import annotations

import pandas as pd
from pyspark.sql import SparkSession

from spark_synth.schema import Schema
from spark_synth.schema.model import ForeignKey
from spark_synth.sources.paths import mark_repeated

PATIENTS, VISITS, CLAIMS = 40, 200, 4000


def clinic(wrong: int = 0, paid: bool = False) -> tuple[Schema, dict[str, pd.DataFrame]]:
    """A claim's patient is that of its visit, but in `wrong` claims. paid: and so is the one who pays."""
    visits = pd.DataFrame({"id": range(VISITS), "patient": [i % PATIENTS for i in range(VISITS)]})
    claims = pd.DataFrame({"id": range(CLAIMS), "visit": [i // 20 for i in range(CLAIMS)]})
    claims["visit"] = claims["visit"].astype("Int64").where(claims.index % 7 > 0)  # one in seven has no visit
    patient = claims["visit"].map(visits["patient"]).astype("Int64")
    claims["patient"] = patient.where(claims.index >= wrong, (patient + 1) % PATIENTS)
    claims["payer"] = claims["patient"] if paid else claims.index.to_series() % PATIENTS
    schema = Schema()
    for t in ("patients", "visits", "claims"):
        schema.add_table(t, "id")
    schema.add_foreign_key("visits.patient", "patients.id").add_foreign_key("claims.visit", "visits.id")
    schema.add_foreign_key("claims.patient", "patients.id").add_foreign_key("claims.payer", "patients.id")
    return schema, {"patients": pd.DataFrame({"id": range(PATIENTS)}), "visits": visits, "claims": claims}


def marked(spark: SparkSession, schema: Schema, tables: dict[str, pd.DataFrame]) -> tuple[list[str], list[ForeignKey]]:
    """What is told of each, and the keys of claims."""
    frames = {
        t: spark.createDataFrame(
            df.astype(object).where(df.notna(), None),
            ", ".join(f"{c} int" for c in df.columns),
        )
        for t, df in tables.items()
    }
    found = mark_repeated(spark, frames, schema)
    return [f"{way} ({differing})" for way, differing in found], schema.table("claims").foreign_keys


def test_a_key_that_repeats_one_of_the_row_it_leads_to_is_found(spark: SparkSession) -> None:
    told, (visit, patient, payer) = marked(spark, *clinic())
    assert told == ["claims: patient is visits.patient by visit (0)"]
    assert (patient.implied, patient.onward) == (visit.name, "visits.patient")
    assert visit.implied is payer.implied is None


def test_a_few_rows_may_differ(spark: SparkSession) -> None:
    told, _ = marked(spark, *clinic(wrong=4))
    assert told == ["claims: patient is visits.patient by visit (3)"]  # row 0 has no visit
    assert marked(spark, *clinic(wrong=40))[0] == []


def test_several_keys_may_repeat_the_same(spark: SparkSession) -> None:
    told, (visit, patient, payer) = marked(spark, *clinic(paid=True))
    assert len(told) == 2 and patient.implied == payer.implied == visit.name


def test_what_the_user_chose_stays(spark: SparkSession) -> None:
    schema, tables = clinic()
    schema.table("claims").foreign_keys[1].owner = True
    assert marked(spark, schema, tables)[0] == []
    schema, tables = clinic()
    schema.table("visits").reference = True
    assert marked(spark, schema, tables)[0] == []
