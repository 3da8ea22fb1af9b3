"""The clusters of a table's rows that links go by: alike in their values, their degrees and their neighbours."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.functions import pandas_udf  # type: ignore[attr-defined]
from scipy.cluster.hierarchy import leaves_list, linkage
from sklearn.cluster import KMeans

from spark_synth.encoding.codecs import NumericCodec
from spark_synth.encoding.encode import encode_value
from spark_synth.encoding.join_plan import CodePlan
from spark_synth.encoding.plan import TablePlan
from spark_synth.encoding.views import value_view

MAX_CLUSTERS, FEW_CLUSTERS = 256, 128  # of well linked tables, and of others
MANY_LINKS = 300  # links to a cluster on average from which on a table is well linked
CLUSTER_ROWS = 6  # rows of a cluster on average, at least; so that no code stands for one real row
ALONE = 32  # clusters of a small table, if it has as many rows: links say which of its few rows they mean
SAMPLE = 20_000  # rows that the clusters are found from
CATEGORIES = 8  # of a column that are told apart
PLACES = 8  # coordinates of a cluster's centre that the generators see
# What a block of features adds to the squared distance of two rows, on average.
VALUES, COPIED, DEGREES, NEIGHBOURS = 0.5, 1.0, 1.0, 2.0
BESIDE = 0.3  # share of VALUES where neighbours are well known: they tell who chooses what, values mostly repeat it
APART = 1e-4  # what the hash of a row adds where each is to have its own cluster


@dataclass(frozen=True)
class _Space:
    """From the columns of a row to its point: raw features, less `mean`, times `scale`."""

    plan: TablePlan
    axes: int
    mean: np.ndarray
    scale: np.ndarray

    def points(self, part: pd.DataFrame) -> np.ndarray:
        """float64 (n, F)."""
        points: np.ndarray = (np.concatenate(_blocks(part, self.plan, self.axes), 1) - self.mean) * self.scale
        return points


def find_clusters(
    frame: DataFrame, plan: TablePlan, axes: int, copied: Collection[str], seed: int
) -> tuple[CodePlan, Column]:
    """The clusters of a table, and the expression that tells the cluster of a row of `frame`.

    frame: rows with degrees and summaries, and __p0.. , their places by neighbours (`axes`; NULL without links).
    copied: columns that the rows which link to these take over, so that they weigh more.
    """
    views = _views(plan, axes)
    share = min(1.0, 1.2 * SAMPLE / max(1, plan.rows))
    chosen = F.pmod(F.xxhash64("__hash", F.lit(seed)), F.lit(1 << 20)) < int(share * (1 << 20))
    sample = frame.where(chosen).select("__hash", *views).limit(2 * SAMPLE).toPandas()
    sample = sample.sort_values(list(sample.columns), kind="stable").reset_index(drop=True)
    most = min(MAX_CLUSTERS, plan.rows // CLUSTER_ROWS)
    well_linked = axes > 0 and sum(d.total for d in plan.degrees) >= MANY_LINKS * most
    space = _space(sample, plan, axes, copied, VALUES * (BESIDE if well_linked else 1.0))
    points = space.points(sample)
    distinct = len(np.unique(points.round(9), axis=0)) if len(points) else 1
    wanted = plan.rows if plan.rows <= ALONE else most if well_linked else min(FEW_CLUSTERS, most)
    count = max(1, min(wanted, distinct))
    centres = _centres(points, count) if count > 1 else np.zeros((1, len(space.mean)))

    @pandas_udf("int")  # type: ignore[call-overload,untyped-decorator]
    def cluster(row: pd.DataFrame) -> pd.Series:
        at = space.points(row)
        distance = np.square(centres).sum(1)[None, :] - 2 * at @ centres.T
        return pd.Series(distance.round(9).argmin(1).astype(np.int32))

    return CodePlan(len(centres), _places(centres)), cluster(F.struct(*views))


def point_columns(plan: TablePlan) -> list[Column]:
    """What `points_of` needs of a row with degrees and summaries."""
    return _views(plan, 0)


def points_of(part: pd.DataFrame, plan: TablePlan) -> np.ndarray:
    """float64 (n, F): the values, degrees and summaries of rows as coordinates, all features on like scales. part: the
    columns of `point_columns`."""
    blocks = _blocks(part.assign(h=0.0), plan, 0)
    if plan.time:
        blocks[len(plan.values) + len(plan.summaries)] = np.zeros((len(part), 1))
    points: np.ndarray = np.nan_to_num(np.concatenate(blocks, 1))
    return points


def _views(plan: TablePlan, axes: int) -> list[Column]:
    views = [value_view(v, plan.columns).alias(f"v{i}") for i, v in enumerate(plan.values)]
    views += [F.col(f"__deg_{i}").cast("double").alias(f"d{i}") for i in range(len(plan.degrees))]
    views += [F.col(f"__sum_{i}").cast("double").alias(f"s{i}") for i in range(len(plan.summaries))]
    views += [F.col("__t").cast("double").alias("t")] if plan.time else []
    views.append((F.pmod("__hash", F.lit(1 << 20)) / (1 << 20)).alias("h"))
    return views + [F.coalesce(f"__p{i}", F.lit(0.0)).alias(f"p{i}") for i in range(axes)]


def _blocks(part: pd.DataFrame, plan: TablePlan, axes: int) -> list[np.ndarray]:
    """float64 (n, F) of each column; the order is that of the weights in `_space`."""
    blocks = []
    for i, value in enumerate(plan.values):
        code, codec = encode_value(value, part[f"v{i}"])[0], value.codecs[0]
        ordered = isinstance(codec, NumericCodec)
        blocks.append(code[:, None] / max(1, codec.card - 1) if ordered else _one_hot(code, codec.card))
    for i, summary in enumerate(plan.summaries):
        code = summary.codec.encode(part[f"s{i}"].to_numpy(float))
        blocks.append(code[:, None] / max(1, summary.codec.card - 1))
    blocks += [part[["t"]].to_numpy(float)] if plan.time else []
    blocks += [part[["h"]].to_numpy(float)]
    blocks += [np.log1p(part[[f"d{i}"]].to_numpy(float)) for i in range(len(plan.degrees))]
    blocks += [part[[f"p{i}" for i in range(axes)]].to_numpy(float)] if axes else []
    return blocks


def _one_hot(code: np.ndarray, card: int) -> np.ndarray:
    shown: np.ndarray = (code[:, None] == np.arange(min(card, CATEGORIES))).astype(float)
    return shown


def _space(sample: pd.DataFrame, plan: TablePlan, axes: int, copied: Collection[str], own: float) -> _Space:
    """Every block brought to its weight: features keep their variances relative to each other. own: of all values."""
    blocks = _blocks(sample, plan, axes)
    degrees, neighbours = len(plan.degrees), int(axes > 0)
    values = len(blocks) - degrees - neighbours - 1
    weights = [own / max(1, values)] * values + [APART if plan.rows <= ALONE else 0.0]
    weights += [DEGREES / max(1, degrees)] * degrees + [NEIGHBOURS] * neighbours
    taken = [i for i, v in enumerate(plan.values) if v.column in copied]
    for i in taken:
        weights[i] += COPIED / len(taken)
    means, scales = [], []
    for block, weight in zip(blocks, weights, strict=True):
        spread = float(block.var(0).sum()) if len(block) else 0.0
        means.append(block.mean(0) if len(block) else np.zeros(block.shape[1]))
        scales.append(np.full(block.shape[1], np.sqrt(weight / spread) if spread > 0 else 0.0))
    return _Space(plan, axes, np.concatenate(means), np.concatenate(scales))


def _centres(points: np.ndarray, count: int) -> np.ndarray:
    """float64 (K, F) in an order in which neighbours are near."""
    found: np.ndarray = KMeans(count, n_init=3, random_state=0).fit(points).cluster_centers_
    if len(found) < 3:
        return found
    ordered: np.ndarray = found[leaves_list(linkage(found, "average", optimal_ordering=True))]
    return ordered


def _places(centres: np.ndarray) -> list[list[float]]:
    """(K, up to PLACES) coordinates of the centres on their main axes, of spread 1 on the first."""
    middle = centres - centres.mean(0)
    u, s, _ = np.linalg.svd(middle, full_matrices=False)
    kept = min(PLACES, int((s > 1e-9 * max(1.0, s[0])).sum()))
    scaled = u[:, :kept] * s[:kept] / (s[0] or 1.0) * np.sqrt(len(centres))
    places: list[list[float]] = scaled.round(4).tolist()
    return places
