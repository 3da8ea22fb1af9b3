"""Figures beside those of sdmetrics, computed by it over the same rows in memory, and beside those of another judge.

SPARK_SYNTH_JUDGE may name a command that is called with a folder of real tables (SDV metadata in it), one of synthetic
tables, `--seed N` and `--out FILE`, and writes the figures that are compared in the last tests. What depends on how
rows are cut into folds is compared by its mean over several seeds.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sdmetrics.column_pairs import ContingencySimilarity, CorrelationSimilarity
from sdmetrics.multi_table import CardinalityShapeSimilarity
from sdmetrics.single_column import KSComplement, TVComplement

from spark_synth.config import SourceSettings
from spark_synth.evaluation import evaluate_database
from spark_synth.evaluation.columns import Role, role, row_hash, values_of
from spark_synth.evaluation.compatibility import model_compatibility
from spark_synth.evaluation.detection import Way, detect
from spark_synth.evaluation.halves import halves
from spark_synth.evaluation.joins import FAMILY, PLACE, Joined, joined, sample_of, with_ancestors
from spark_synth.evaluation.near import privacy_score
from spark_synth.schema import Schema, load_schema
from spark_synth.schema.graph import choose_owners
from spark_synth.schema.model import Column, Kind
from spark_synth.sources import open_database
from tests.evaluation.conftest import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
WITHIN = 0.01
FEW, OF_FEW = 1000, 0.02  # rows of which folds alone move the mean of so few seeds by this
OF_RARE = 0.03  # of a quotient of two mean F1 in which positions of one to three players count as others
SEEDS = (0, 2, 4)  # of the judge, which splits by a seed and the one after it


class Compared(NamedTuple):
    """One half of a real database against the other, whole tables left as they are."""

    name: str
    real: dict[str, DataFrame]
    synth: dict[str, DataFrame]
    schema: Schema
    found: dict[str, Any]

    def values(self, table: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Numbers as floats and categories as text, in memory."""
        spec = self.schema.table(table)
        one, other = (
            frames[table].select(*[v.alias(f"c{i}") for i, v in enumerate(values_of(frames[table], spec).values())])
            for frames in (self.real, self.synth)
        )
        names = list(values_of(self.real[table], spec))
        return one.toPandas().set_axis(names, axis=1), other.toPandas().set_axis(names, axis=1)


@pytest.fixture(scope="module", params=["northwind", "basketball3"])
def compared(
    request: pytest.FixtureRequest, spark: SparkSession, shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Compared:
    path = shared_data / request.param
    source = open_database(spark, SourceSettings(path=str(path)), load_schema(str(path / "metadata.json")), 0)
    owners = {t: key.name if key else None for t, key in choose_owners(source.schema, source.rows).items()}
    folder = str(tmp_path_factory.mktemp(request.param) / "halves")
    cut = halves(source.tables, source.schema, owners, folder, 0)
    found = evaluate_database(
        cut.one,
        cut.other,
        source.schema,
        ratio=1.0,
        owners=owners,
        references=set(),
        settings=Settings(),
        thorough=False,
    )
    return Compared(request.param, cut.one, cut.other, source.schema, found)


def test_column_shapes(compared: Compared) -> None:
    seen = 0
    for table, found in compared.found["tables"].items():
        real, synth = compared.values(table)
        for name in real.columns:
            ours, metric = found["columns"][name]["shape"], TVComplement
            if role(compared.schema.table(table), name) is Role.NUMBER:
                metric = KSComplement
            if ours is not None and real[name].notna().any() and synth[name].notna().any():
                theirs = metric.compute(real_data=real[name].dropna(), synthetic_data=synth[name].dropna())
                assert ours == pytest.approx(theirs, abs=WITHIN), (table, name)
                seen += 1
    assert seen > 10


def test_pair_trends(compared: Compared) -> None:
    """Numbers that meet a category are cut into the tenths of the real ones here, by sdmetrics into equal widths: so it
    gets them cut."""
    seen = 0
    for table, found in compared.found["tables"].items():
        real, synth = compared.values(table)
        pairs = found["pairs"]
        numbers = [c for c in pairs["columns"] if role(compared.schema.table(table), c) is Role.NUMBER]
        for (a, b), ours in zip(combinations(pairs["columns"], 2), pairs["scores"], strict=True):
            sides = [side[[a, b]] for side in (real, synth)]
            if a in numbers and b in numbers:
                sides = [s.dropna() for s in sides]
                if ours is None or min(map(len, sides)) < 3 or any((s.nunique() < 2).any() for s in sides):
                    continue
                theirs = CorrelationSimilarity.compute(*sides, coefficient="Pearson")
            else:
                theirs = ContingencySimilarity.compute(*_cut(sides, [c for c in (a, b) if c in numbers]))
            assert ours == pytest.approx(theirs, abs=WITHIN), (table, a, b)
            seen += 1
    assert seen > 10


def _cut(sides: list[pd.DataFrame], numbers: list[str]) -> list[pd.DataFrame]:
    """Tenths of the real values, the ten commonest categories, and NULL as one of its own."""
    out = [s.copy() for s in sides]
    for c in sides[0].columns:
        if c in numbers:
            known = sides[0][c].dropna().to_numpy()
            points = np.quantile(known, np.linspace(0, 1, 401), method="nearest")
            cuts = np.unique(np.quantile(points, np.arange(1, 10) / 10))
            for s in out:
                codes = np.searchsorted(cuts, s[c].to_numpy(float), side="right")
                s[c] = pd.Series(codes.astype(str), s.index).where(s[c].notna(), "null")
        else:
            counts = sides[0][c].value_counts()
            common = sorted(counts.index, key=lambda v: (-counts[v], v))[:9]
            for s in out:
                s[c] = s[c].where(s[c].isin(common) | s[c].isna(), "another").fillna("null")
    return out


def test_children_per_parent(compared: Compared) -> None:
    for table, found in compared.found["tables"].items():
        for fk in compared.schema.table(table).foreign_keys:
            if len(fk.columns) > 1:
                continue
            sides = []
            for frames in (compared.real, compared.synth):
                parent = frames[fk.parent].select(fk.parent_columns[0]).toPandas()
                child = frames[table].select(fk.columns[0]).toPandas().set_axis(["__key"], axis=1)
                sides.append({"parent": parent, "child": child})
            relation = {
                "parent_table_name": "parent",
                "parent_primary_key": fk.parent_columns[0],
                "child_table_name": "child",
                "child_foreign_key": "__key",
            }
            theirs = CardinalityShapeSimilarity.compute(*sides, {"relationships": [relation], "tables": {}})
            assert 1 - found["fk"][fk.name]["degree"]["ks"] == pytest.approx(theirs, abs=WITHIN), fk.name


@pytest.fixture(scope="module")
def as_many(compared: Compared) -> Compared:
    """As many rows of each table on both sides: a classifier takes them all."""
    sides: tuple[dict[str, DataFrame], dict[str, DataFrame]] = ({}, {})
    for t, spec in compared.schema.tables.items():
        least = min(frames[t].count() for frames in (compared.real, compared.synth))
        for side, frames in zip(sides, (compared.real, compared.synth), strict=True):
            side[t] = frames[t].orderBy(row_hash(spec)).limit(least).cache()
    return compared._replace(real=sides[0], synth=sides[1])


@pytest.fixture(scope="module")
def judged(as_many: Compared, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the other judge says of the same rows, by seed."""
    command = os.environ.get("SPARK_SYNTH_JUDGE")
    if not command:
        pytest.skip("SPARK_SYNTH_JUDGE names no judge")
    folder = tmp_path_factory.mktemp("judged")
    for name, frames in (("one", as_many.real), ("other", as_many.synth)):
        for t, frame in frames.items():
            frame.write.parquet(str(folder / name / t))
    shutil.copy(shared_data / as_many.name / "metadata.json", folder / "one")
    found = [folder / f"{seed}.json" for seed in SEEDS]
    for seed, out in zip(SEEDS, found, strict=True):
        told = [str(folder / "one"), str(folder / "other"), "--seed", str(seed), "--out", str(out)]
        subprocess.run([*shlex.split(command), *told], check=True)
    return [json.loads(out.read_text()) for out in found]


@pytest.mark.parametrize(("section", "way"), [("c2st", "alone"), ("c2st_agg", "children")])
def test_classifiers(as_many: Compared, judged: list[dict[str, Any]], section: str, way: Way) -> None:
    seen = 0
    for t in judged[0][section]["tables"]:
        rows = as_many.real[t].count()
        if rows < 100 or (way == "children" and not as_many.schema.children(t)):
            continue
        sides = (as_many.real, as_many.synth, as_many.schema, t, (rows, rows), 50_000)
        ours = [found["auc"] for seed in range(5) if (found := detect(*sides, seed, way))]
        theirs = [judge[section]["tables"][t]["auc"] for judge in judged]
        if ours:
            assert np.mean(ours) == pytest.approx(np.mean(theirs), abs=OF_FEW if rows < FEW else WITHIN), t
            seen += 1
    assert seen


def test_privacy(as_many: Compared, judged: list[dict[str, Any]]) -> None:
    compared, seen = as_many, 0
    for t, theirs in judged[0]["privacy"]["tables"].items():
        if t in compared.real and theirs.get("columns", 0) >= 3 and compared.real[t].count() >= 100:
            real, synth = (
                sample_of(with_ancestors(frames[t], frames, compared.schema, t, {}, 0).drop(PLACE, FAMILY))
                for frames in (compared.real, compared.synth)
            )
            ours = privacy_score(real, synth)
            assert ours["P"] == pytest.approx(theirs["P"], abs=WITHIN), t
            seen += 1
    assert seen


def test_model_compatibility(as_many: Compared, judged: list[dict[str, Any]]) -> None:
    """With the judge's own splits of the real rows by players, of whom it leaves out those without a position."""
    compared = as_many
    if compared.name != "basketball3":
        pytest.skip("no target in this database")
    schema = compared.schema.model_copy(deep=True)
    schema.tables["players"].columns["split"] = Column(kind=Kind.CATEGORICAL)
    sides = [
        {**frames, "players": frames["players"].withColumn("split", F.col("playerID"))}
        for frames in (compared.real, compared.synth)
    ]
    real, synth = (sample_of(joined(frames, schema, "players"), 10**7) for frames in sides)
    parts = [[c for c in part if c != "players.split"] for part in (real.numbers, real.categories)]
    ours = []
    for seed in (s + i for s in SEEDS for i in range(2)):
        train, test = _split(real.rows, seed)
        a, b, c = (Joined(rows, *parts) for rows in (train, test, _split(synth.rows, seed)[0]))
        ours.append(model_compatibility(a, b, c, "players.pos"))
    for score, within in (("auc", WITHIN), ("f1", OF_RARE)):
        real_mean, synth_mean = (float(np.mean([o[f"{score}_{side}"] for o in ours])) for side in ("real", "synth"))
        real_other, synth_other = np.mean([judge["mc"][score] for judge in judged], axis=0)
        assert abs(1 - real_mean / synth_mean) == pytest.approx(abs(1 - real_other / synth_other), abs=within), score


def _split(rows: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Four fifths of the players whose position is known with all their rows, and the others."""
    rows = rows[rows["players.pos"].notna()]
    ids = np.sort(rows["players.split"].dropna().unique())
    held = rows["players.split"].isin(set(np.random.default_rng(seed).choice(ids, len(ids) // 5, replace=False)))
    return rows[~held], rows[held]
