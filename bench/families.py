"""Every generator family on databases of any kind, judged alike: what docs/families.md tells.

    python -m bench.families DIR [DIR ...] --out OUT --judge COMMAND [--families ...] [--minutes 10] [--set ...]
    python -m bench.families --out OUT

DIR holds tables and SDV metadata. Each family is trained on each and generates it once (what was measured is not again)
and `COMMAND DIR TABLES --out FILE` writes a JSON file whose `summary` holds the figures of COLUMNS. They are metrics of
one MLflow run for each database and family, experiment `families` of OUT/mlflow.db, from which the table is written;
bench/families.json keeps what was measured elsewhere. Without DIR the table alone is written again.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import time
from pathlib import Path
from typing import Any

from deltalake import DeltaTable
from mlflow.tracking import MlflowClient

from spark_synth import pipeline
from spark_synth.config import RunConfig, TrackingSettings, load_config
from spark_synth.encoding.codecs import CategoricalCodec
from spark_synth.encoding.plan import How, TablePlan
from spark_synth.pipeline.package import Package, load_package
from spark_synth.pipeline.train import training_folder
from spark_synth.tracking import Tracker
from spark_synth.whole import write_json

ROOT = Path(__file__).resolve().parents[1]
CONF, KEPT, PAGE = ROOT / "conf" / "local.yaml", ROOT / "bench" / "families.json", ROOT / "docs" / "families.md"
FAMILIES = {  # name in the table: options
    "autoregressive": {},
    "graph_vae": {"model.family": "graph_vae"},
    "gan (LSTM)": {"model.family": "gan", "model.child_network": "lstm"},
    "gan (CNN)": {"model.family": "gan", "model.child_network": "cnn"},
    "copula": {"model.family": "copula"},
    "clustered": {"model.family": "clustered"},
}
OFTEN = 5  # real rows of a category that a table of as many rows should have again
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
COLUMNS = {  # of the table: what the judge calls it
    "shapes": "sdmetrics/quality/Column Shapes",
    "pairs": "sdmetrics/quality/Column Pair Trends",
    "degree KS": "degree/mean_ks",
    "kept": "conditioning/kept",
    "lag-1": "sequence/lag1_mad",
    "icc": "sequence/icc_mad",
    "C2ST": "c2st/auc",
    "C2ST-Agg": "c2st_agg/auc",
    "MC AUC": "mc/mc_auc",
    "MC F1": "mc/mc_f1",
    "P": "privacy/max_P",
    "distinct": "distinct",
    "orphans": "keys/max_orphans",
    "train s": "train_seconds",
    "rows/s": "rows_per_second",
}


def main() -> None:
    """See the module."""
    args = _arguments()
    out = Path(args.out).absolute()
    out.mkdir(parents=True, exist_ok=True)
    for source in map(Path, args.sources):
        for family in args.families:
            _measure(args, source.absolute(), out, family)
            write_page(_kept(out))
    if not args.sources:
        write_page(_kept(out))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="*")
    parser.add_argument("--out", required=True)
    parser.add_argument("--judge", help="command that compares two folders of tables")
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=FAMILIES)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--set", nargs="*", default=[], dest="options", help="further options of the runs")
    args = parser.parse_args()
    if args.sources and not args.judge:
        parser.error("--judge is needed where databases are measured")
    return args


def _measure(args: argparse.Namespace, source: Path, out: Path, family: str) -> None:
    """Run and judge, unless that was done; the figures go to MLflow."""
    config = _config(args, source, out / source.name, family)
    tracker = Tracker(TrackingSettings(uri=f"sqlite:///{out}/mlflow.db", experiment="families"))
    tags = {"database": source.name, "family": family}
    if tracker.find(tags):
        return
    began = time.monotonic()
    run_id = pipeline.train(config)
    took = {"train_seconds": time.monotonic() - began}
    folder = pipeline.generate(config, run_id)
    report = folder / "judge.json"
    judge = [*shlex.split(args.judge), str(source), str(folder / "tables"), "--out", str(report)]
    subprocess.run(judge, check=True, stdout=subprocess.DEVNULL)
    manifest = json.loads((folder / "manifest.json").read_text())
    rows = sum(t["rows"] for t in manifest["tables"].values())
    took["rows_per_second"] = rows / manifest["durations"]["generate"]
    took["distinct"] = _distinct(load_package(training_folder(config) / "model"), folder / "tables")
    found = {k: v for k, v in {**json.loads(report.read_text())["summary"], **took}.items() if v is not None}
    with tracker.run(f"{source.name}-{family}", tags) as run:
        run.log_params({"minutes": args.minutes, "run_id": manifest["run_id"], "cores": os.cpu_count()})
        run.log_metrics(found)


def _config(args: argparse.Namespace, source: Path, output: Path, family: str) -> RunConfig:
    options = {
        "source.path": source,
        "schema": source / "metadata.json",
        "output": output,
        "train.max_minutes": args.minutes,
        **FAMILIES[family],
    }
    told = [f"{k}={v}" for k, v in options.items()] + args.options
    return load_config(CONF, told, identifier="".join(c for c in family if c.isalnum() or c == "_"))


def _distinct(package: Package, tables: Path) -> float:
    """The least share, over the columns of categories, of the real ones of at least OFTEN rows that were generated."""
    shares = [1.0]
    for table, plan in package.plans.items():
        if plan.reference:
            continue
        made = DeltaTable(tables / table)
        written = {f.name for f in made.schema().fields}  # of columns that say the same one may be drawn for all
        wanted = {column: often for column, often in _often(plan).items() if column in written and often}
        rows = made.to_pyarrow_table(columns=list(wanted))
        shares += [len(v & {str(r) for r in rows[c].unique().to_pylist()}) / len(v) for c, v in wanted.items()]
    return min(shares)


def _often(plan: TablePlan) -> dict[str, set[str]]:
    """The categories of at least OFTEN rows by the column they are in."""
    codecs = {v.column: v.codecs[0] for v in plan.values if v.how is How.CATEGORY}
    pairs = {c: zip(x.categories, x.counts, strict=True) for c, x in codecs.items() if isinstance(x, CategoricalCodec)}
    return {column: {name for name, count in found if count >= OFTEN} for column, found in pairs.items()}


def _kept(out: Path) -> dict[str, Any]:
    """Figures by `database/family`: those of the runs in OUT/mlflow.db, and those that are in the file already."""
    kept: dict[str, Any] = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    client = MlflowClient(tracking_uri=f"sqlite:///{out}/mlflow.db")
    experiment = client.get_experiment_by_name("families")
    runs = client.search_runs([experiment.experiment_id], "attributes.status = 'FINISHED'") if experiment else []
    for run in runs:
        name = f"{run.data.tags['database']}/{run.data.tags['family']}"
        figures = {title: run.data.metrics.get(key) for title, key in COLUMNS.items()}
        kept[name] = {"minutes": float(run.data.params["minutes"]), **figures}
    write_json(KEPT, dict(sorted(kept.items())), indent=1)
    return kept


def write_page(figures: dict[str, Any]) -> None:
    """Put the tables, one a database, into the page between its marks; the advice around them is written by hand."""
    lines = [BEGIN, ""]
    for database in sorted({name.split("/")[0] for name in figures}):
        rows = {f: figures[f"{database}/{f}"] for f in FAMILIES if f"{database}/{f}" in figures}
        lines += [f"### {database}", "", "| family | " + " | ".join(COLUMNS) + " |", "|---" * (1 + len(COLUMNS)) + "|"]
        lines += [f"| {f} | " + " | ".join(_cell(t, r[t]) for t in COLUMNS) + " |" for f, r in rows.items()]
        lines.append("")
    page = PAGE.read_text()
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    PAGE.write_text(before + "\n".join([*lines, END]) + after)


def _cell(title: str, figure: float | None) -> str:
    if figure is None:
        return "-"
    return f"{figure:,.0f}" if title in ("train s", "rows/s") else f"{figure:.3f}"


if __name__ == "__main__":
    main()
