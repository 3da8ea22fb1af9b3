"""Ways to draw the pairs of a join table, compared on a real database: what they keep of the graph, and their time.

For each way the whole database is trained and generated; the real graph, uniformly random pairs and the real degrees
with random pairs stand beside them. Prints a table in Markdown. Meant for databases that fit in memory.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from deltalake import DeltaTable
from scipy.sparse import csr_matrix
from scipy.stats import ks_2samp

from spark_synth.schema import Schema, load_schema

CONF = Path(__file__).resolve().parent.parent / "conf" / "local.yaml"
WAYS = {
    "owner first, network": ("neural", False),
    "owner first, blocks": ("block", False),
    "owner first, degrees alone": ("configuration", False),
    "edges first, network": ("neural", True),
    "edges first, blocks": ("block", True),
}
MOST_NODES = 20_000  # of a side whose pairs are looked at
CATEGORIES = 12  # of a column that are told apart
COLUMNS = ["edges", "repeated", "KS", "corr", "common", "spread", "cos", "cos spread", "clustering", "ends", "time"]


@dataclass(frozen=True)
class Graph:
    """The pairs of a join table as a matrix (rows of the left and the right table), 1 where they are joined."""

    matrix: csr_matrix
    repeated: int

    def degrees(self, axis: int) -> np.ndarray:
        """int64 (n,), of all rows of a side."""
        found: np.ndarray = np.asarray(self.matrix.sum(axis)).ravel().astype(int)
        return found


@dataclass(frozen=True)
class Side:
    """A table at an end of the join table, its key, and the column of the join table that refers to it."""

    table: str
    key: str
    column: str


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the tables, with metadata.json or schema.yaml")
    parser.add_argument("table", help="the join table")
    parser.add_argument("--minutes", type=float, default=2.0, help="train.max_minutes")
    parser.add_argument("--only", nargs="*", default=list(WAYS), help="ways to look at")
    parser.add_argument("--set", nargs="*", default=[], help="further options of the run")
    parser.add_argument("--made", nargs="*", default=[], help="folders of runs that were made before, one for each way")
    args = parser.parse_args()
    path = next(p for n in ("schema.yaml", "metadata.json") if (p := args.data / n).exists())
    sides = _sides(load_schema(path), args.table)
    real = {t: _read(args.data, t) for t in (args.table, *(s.table for s in sides))}
    rows = {"real": _figures(real, real, args.table, sides), **_baselines(real, args.table, sides)}
    with tempfile.TemporaryDirectory() as work:
        for way, folder in _runs(args, path, Path(work)):
            made = {t: DeltaTable(folder / "tables" / t).to_pandas() for t in real}
            durations = json.loads((folder / "manifest.json").read_text())["durations"]
            # another draw of a trained model has no training
            taken = durations.get("train", 0.0) + durations["generate"]
            rows[way] = [*_figures(real, made, args.table, sides), f"{taken:.0f} s"]
    print(f"| {args.table} | {' | '.join(COLUMNS)} |\n" + "|---" * (1 + len(COLUMNS)) + "|")  # noqa: T201
    for way, cells in rows.items():
        print(_line(way, cells))  # noqa: T201


def _line(name: str, cells: list[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


def _runs(args: argparse.Namespace, schema: Path, work: Path) -> Iterator[tuple[str, Path]]:
    """(way, folder of its run)."""
    for i, way in enumerate(args.only):
        if args.made:
            yield way, Path(args.made[i])
            continue
        edges, first = WAYS[way]
        options = {
            "source.path": args.data,
            "schema": schema,
            "output": work / str(i),
            "generate.identifier": "made",
            "train.max_minutes": args.minutes,
            f"tables.{args.table}.model.edges": edges,
            f"tables.{args.table}.model.edges_first": first,
        }
        named = [f"{k}={v}" for k, v in options.items()] + args.set
        command = [sys.executable, "-m", "spark_synth", "run", "--conf", str(CONF)]
        began = time.monotonic()
        subprocess.run([*command, *(x for n in named for x in ("--set", n))], check=True, stdout=subprocess.DEVNULL)
        sys.stderr.write(f"{way}: {time.monotonic() - began:.0f} s\n")
        yield way, work / str(i) / "made"


def _sides(schema: Schema, table: str) -> tuple[Side, Side]:
    keys = schema.table(table).foreign_keys
    sides = [Side(fk.parent, fk.parent_columns[0], fk.columns[0]) for fk in keys[:2]]
    return sides[0], sides[1]


def _read(folder: Path, table: str) -> pd.DataFrame:
    file = next(folder.glob(f"{table}.*"))
    return pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file)


def _graph(tables: dict[str, pd.DataFrame], table: str, sides: tuple[Side, Side]) -> Graph:
    pairs = tables[table].dropna(subset=[s.column for s in sides])
    at = [
        pd.Index(tables[s.table][s.key].astype(str)).get_indexer(pd.Index(pairs[s.column].astype(str))) for s in sides
    ]
    return _matrix(at[0], at[1], (len(tables[sides[0].table]), len(tables[sides[1].table])))


def _matrix(left: np.ndarray, right: np.ndarray, shape: tuple[int, int]) -> Graph:
    matrix = csr_matrix((np.ones(len(left)), (left, right)), shape=shape)
    repeated = len(left) - matrix.nnz
    matrix.data[:] = 1
    return Graph(matrix, repeated)


def _baselines(real: dict[str, pd.DataFrame], table: str, sides: tuple[Side, Side]) -> dict[str, list[str]]:
    """Random pairs, and the real degrees with random pairs, between the real rows."""
    rng, rows = np.random.default_rng(0), real[table].dropna(subset=[s.column for s in sides])
    random = rows.assign(**{s.column: rng.choice(real[s.table][s.key], len(rows)) for s in sides})
    shuffled = rows.assign(**{sides[1].column: rng.permutation(rows[sides[1].column].to_numpy())})
    return {
        "random pairs": _figures(real, {**real, table: random}, table, sides),
        "real degrees, random pairs": _figures(real, {**real, table: shuffled}, table, sides),
    }


def _figures(
    real: dict[str, pd.DataFrame], made: dict[str, pd.DataFrame], table: str, sides: tuple[Side, Side]
) -> list[str]:
    """The cells of one row, all but the time."""
    graph, original = _graph(made, table, sides), _graph(real, table, sides)
    degrees = [[g.degrees(axis) for axis in (1, 0)] for g in (original, graph)]
    ks = [ks_2samp(a, b).statistic for a, b in zip(*degrees, strict=True)]
    coo = graph.matrix.tocoo()
    corr = np.corrcoef(degrees[1][0][coo.row], degrees[1][1][coo.col])[0, 1]
    pairs = [_pairs(m) for m in (graph.matrix, graph.matrix.T.tocsr())]
    joined = [" / ".join("-" if p is None else f"{p[i]:.4g}" for p in pairs) for i in range(5)]
    ends = _ends(real, made, table, sides)
    cells = [str(len(made[table])), str(graph.repeated), " / ".join(f"{k:.3f}" for k in ks), f"{corr:.3f}"]
    return [*cells, *joined, "-" if ends is None else f"{ends:.2f}"]


def _pairs(matrix: csr_matrix) -> tuple[float, float, float, float, float] | None:
    """Of all pairs of rows of one side: mean and spread of their common neighbours, the same as cosine, and the mean
    share of common neighbours in all of both, where they have any (Latapy et al., Social Networks, 2008)."""
    if matrix.shape[0] > MOST_NODES:
        return None
    degrees = np.asarray(matrix.sum(1)).ravel()
    count = len(degrees) * (len(degrees) - 1) / 2
    common = (matrix @ matrix.T).tocoo()
    above = common.row < common.col
    n, i, j = common.data[above], common.row[above], common.col[above]
    cosine = n / np.sqrt(degrees[i] * degrees[j])
    mean, square = [x.sum() / count for x in (n, cosine)], [(x**2).sum() / count for x in (n, cosine)]
    spread = [np.sqrt(s - m**2) for m, s in zip(mean, square, strict=True)]
    clustering = float((n / (degrees[i] + degrees[j] - n)).mean()) if len(n) else 0.0
    return mean[0], spread[0], mean[1], spread[1], clustering


def _ends(
    real: dict[str, pd.DataFrame], made: dict[str, pd.DataFrame], table: str, sides: tuple[Side, Side]
) -> float | None:
    """How much of the real correlation between values at the two ends of a pair there is: slope of made on real."""
    levels = [{c: _levels(real[s.table][c]) for c in real[s.table] if c != s.key} for s in sides]
    found = []
    for tables in (real, made):
        pairs, blocks = tables[table], []
        for side, known in zip(sides, levels, strict=True):
            rows = tables[side.table].set_index(tables[side.table][side.key].astype(str))
            shown = pd.concat([_shown(rows[c], level) for c, level in known.items()] or [pd.DataFrame()], axis=1)
            if not shown.shape[1]:
                return None
            blocks.append(shown.reindex(pairs[side.column].astype(str)).to_numpy(float))
        centred = [np.nan_to_num((b - np.nanmean(b, 0)) / (np.nanstd(b, 0) + 1e-9)) for b in blocks]
        found.append(centred[0].T @ centred[1] / len(pairs))
    return float((found[0] * found[1]).sum() / (found[0] ** 2).sum())


def _levels(column: pd.Series) -> list[str] | None:
    """The commonest values of a category, None for a number; none at all for texts."""
    if pd.api.types.is_numeric_dtype(column) and column.nunique() > CATEGORIES:
        return None
    return column.astype(str).value_counts().index[:CATEGORIES].tolist() if column.nunique() < len(column) / 4 else []


def _shown(column: pd.Series, levels: list[str] | None) -> pd.DataFrame:
    if levels is None:
        return column.astype(float).to_frame()
    text = column.astype(str)
    return pd.DataFrame({f"{column.name}={v}": (text == v).astype(float) for v in levels}, index=column.index)


if __name__ == "__main__":
    main()
