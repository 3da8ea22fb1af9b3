"""The experiment of Mami et al. (2022): a classifier learnt from synthetic rows, tested on real ones held out.

    python -m bench.model_compatibility DIR --target players.pos --root players --out OUT \
        [--families graph_vae autoregressive] [--seeds 3] [--minutes 10]

DIR holds tables and SDV metadata. A fifth of the rows of `--root`, with all that hangs on them, is held out; generators
are trained on the others. Beside them stands what is learnt from one half of these real rows against the other half:
how far chance alone takes two samples apart. OUT/results.json and OUT/results.md are written anew after every run; a
run that is there is kept.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth import pipeline
from spark_synth.config import RunConfig, load_config
from spark_synth.evaluation.compatibility import SCORES, incompatible, model_compatibility
from spark_synth.evaluation.joins import Joined, joined, sample_of
from spark_synth.evaluation.near import privacy_score
from spark_synth.pipeline.stages import Workshop
from spark_synth.schema import Schema, load_schema
from spark_synth.schema.names import quote
from spark_synth.sinks import read_delta, table_target
from spark_synth.whole import write_json

FOLDS = 5  # one of them is held out
HALVES = "real halves"
CONF = Path(__file__).resolve().parents[1] / "conf" / "local.yaml"
COLUMNS = ("auc_real", "auc_synth", "mc_auc", "f1_real", "f1_synth", "mc_f1", "P")


def main() -> None:
    """See the module."""
    args = _arguments()
    out = Path(args.out).absolute()
    results = json.loads((out / "results.json").read_text()) if (out / "results.json").exists() else []
    for seed in range(args.seeds):
        for family in [*args.families, HALVES]:
            if not any(r["family"] == family and r["seed"] == seed for r in results):
                run = _halves if family == HALVES else _run
                results.append({"family": family, "seed": seed, **run(args, out, family, seed)})
                write_json(out / "results.json", results, indent=1)
                (out / "results.md").write_text(_table(args, results))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    for name in ("target", "root", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--families", nargs="+", default=["graph_vae", "autoregressive"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--set", nargs="*", default=[], dest="options", help="further options of the run")
    return parser.parse_args()


def _run(args: argparse.Namespace, out: Path, family: str, seed: int) -> dict[str, Any]:
    """Train on four fifths, generate, and compare; what came out."""
    fold, whole, schema = _fold(args, out, seed)
    config = _config(args, fold / "train", out, family, seed)
    run_id = pipeline.train(config)
    pipeline.generate(config)
    synth = {
        t: read_delta(whole.spark, table_target(config.output, str(config.generate.identifier), t))
        for t in schema.tables
    }
    real, test = (_part(whole, schema, fold, p) for p in ("train", "test"))
    return {**_compared(args, schema, (real, test, synth), seed), "run": run_id}


def _halves(args: argparse.Namespace, out: Path, _: str, seed: int) -> dict[str, Any]:
    """One half of the four fifths, as if it were synthetic, against the other."""
    fold, whole, schema = _fold(args, out, seed)
    numbered = _numbered(_part(whole, schema, fold, "train"), schema, args.root, f"{seed} halves", 2)
    one, other = ({t: f.where(F.col("__fold") == i).drop("__fold") for t, f in numbered.items()} for i in range(2))
    return _compared(args, schema, (one, _part(whole, schema, fold, "test"), other), seed)


def _fold(args: argparse.Namespace, out: Path, seed: int) -> tuple[Path, Workshop, Schema]:
    """Where the two parts of the real rows of a seed are, written if they are not there yet."""
    fold, whole = out / f"fold-{seed}", Workshop(_config(args, Path(args.source), out, "copula", seed))
    schema = load_schema(whole.config.schema_path)
    if not (fold / "done").exists():
        numbered = _numbered(whole.database().tables, schema, args.root, str(seed), FOLDS)
        for t, frame in numbered.items():
            for part, held in (("train", F.col("__fold") > 0), ("test", F.col("__fold") == 0)):
                frame.where(held).drop("__fold").write.mode("overwrite").parquet(f"{fold}/{part}/{t}.parquet")
        (fold / "done").touch()
    return fold, whole, schema


def _part(whole: Workshop, schema: Schema, fold: Path, part: str) -> dict[str, DataFrame]:
    return {t: whole.spark.read.parquet(f"{fold}/{part}/{t}.parquet") for t in schema.tables}


def _compared(
    args: argparse.Namespace, schema: Schema, frames: tuple[dict[str, DataFrame], ...], seed: int
) -> dict[str, Any]:
    """What is learnt from the first and from the last of real, test and synthetic tables, and P."""
    table = args.target.split(".")[0]
    a, b, c = (sample_of(joined(f, schema, table), seed=seed) for f in frames)
    return {
        **model_compatibility(a, b, c, args.target, seed),
        "P": privacy_score(a, c, seed)["P"],
        **_sizes(a, b, c),
    }


def _sizes(*samples: Joined) -> dict[str, int]:
    return {f"rows_{n}": len(s.rows) for n, s in zip(("real", "test", "synth"), samples, strict=True)}


def _config(args: argparse.Namespace, source: Path, out: Path, family: str, seed: int) -> RunConfig:
    options = {
        "source.path": source,
        "schema": f"{args.source}/metadata.json",
        "output": out,
        "seed": seed,
        "model.family": family,
        "train.max_minutes": args.minutes,
    }
    told = [f"{k}={v}" for k, v in options.items()] + args.options
    return load_config(CONF, told, identifier=f"{family}-{seed}")


def _numbered(tables: dict[str, DataFrame], schema: Schema, root: str, salt: str, parts: int) -> dict[str, DataFrame]:
    """The tables with `__fold`, 0 to parts - 1: rows go with the row of `root` that they hang on, directly."""
    key = schema.table(root).primary_key
    found: dict[str, DataFrame] = {}
    for t, frame in tables.items():
        named = key if t == root else next(fk.columns for fk in schema.table(t).foreign_keys if fk.parent == root)
        number = F.xxhash64(F.lit(salt), *[F.col(quote(c)).cast("string") for c in named])
        found[t] = frame.withColumn("__fold", F.pmod(number, F.lit(parts)))
    return found


def _table(args: argparse.Namespace, results: list[dict[str, Any]]) -> str:
    """Means and ranges over the seeds, a line each family; last, MC of the mean scores, in which chance is less."""
    found = pd.DataFrame(results)
    head = [*COLUMNS, *(f"mc_{m} of means" for m in SCORES)]
    lines = [f"{Path(args.source).name}, target {args.target}, {found['seed'].nunique()} seeds", ""]
    lines += ["| family | " + " | ".join(head) + " |", "|---" * (1 + len(head)) + "|"]
    for family, rows in found.groupby("family", sort=False):
        means = rows[list(COLUMNS)].mean()
        cells = [f"{means[c]:.4f} ({rows[c].min():.4f} to {rows[c].max():.4f})" for c in COLUMNS]
        cells += [f"{incompatible(means[f'{m}_real'], means[f'{m}_synth']):.4f}" for m in SCORES]
        lines.append(f"| {family} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
