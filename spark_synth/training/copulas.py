"""The copulas of tables, computed in Spark: one task looks at a sample of a table's packs, one pass over all of them
adds up its moments, one task solves for the coefficients. Nothing but what came out reaches the driver."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from pyspark import TaskContext
from pyspark.sql import DataFrame, SparkSession
from safetensors.torch import load_file

from spark_synth.models.batch import FamilyBatch, concat, rebatched
from spark_synth.models.copula import Copula
from spark_synth.models.scores import Scores, code_scores
from spark_synth.models.spec import GeneratorSpec
from spark_synth.training.associations import MAX_CELLS, code_places
from spark_synth.training.checkpoint import save_weights
from spark_synth.training.job import FitJob, FitResult
from spark_synth.training.loop import tell
from spark_synth.training.moments import Moments, fit_copula
from spark_synth.whole import write_json

SIDE_BY_SIDE = 4  # tables whose passes overlap
SEEN_ROWS, HELD_ROWS = 20_000, 20_000  # of the samples
BATCH_ROWS = 8192  # whose products are summed together
START = "start.safetensors"  # the model with scores, before it has coefficients
PACKS = "rows int, families int, codes binary, context binary, lengths binary, start binary, size binary, sets binary"


def fit_copulas(spark: SparkSession, jobs: list[FitJob]) -> list[FitResult]:
    """Compute the models of `jobs`, several at a time; finished ones are left as they are."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        return list(pool.map(lambda job: _fit(spark, job), jobs))


def _fit(spark: SparkSession, job: FitJob) -> FitResult:
    done = Path(job.folder) / "result.json"
    if done.exists():
        return FitResult(**json.loads(done.read_text()))
    began = time.time()  # another machine's clock may tell the end
    one = spark.range(1).select("id")
    if not (job.epochs and job.holdout_rows):
        return _only(one.mapInPandas(lambda frames: _each(frames, lambda: frequencies(job)), "result string"))
    one.mapInPandas(lambda frames: _each(frames, lambda: start(job)), "result string").collect()
    packs = spark.read.schema(PACKS).parquet(f"{job.packs}/split=train")
    sums = packs.mapInPandas(lambda frames: summed(job, frames), "part int, sums binary")
    ordered = sums.repartition(1).sortWithinPartitions("part")  # so that they are added up in the same order each time
    return _only(ordered.mapInPandas(lambda frames: solved(job, frames, began), "result string"))


def _only(results: DataFrame) -> FitResult:
    return FitResult(**json.loads(results.collect()[0]["result"]))


def _each(frames: Iterable[pd.DataFrame], work: Callable[[], str]) -> Iterator[pd.DataFrame]:
    for frame in frames:
        yield pd.DataFrame({"result": [work() for _ in range(len(frame))]})


def frequencies(job: FitJob) -> str:
    """The model of a table with too few rows."""
    model = Copula(GeneratorSpec.from_json(job.spec))
    return _finish(job, model, FitResult(job.table, 0, 0.0, 0.0, 0, math.nan, "too few rows: frequencies"))


def start(job: FitJob) -> str:
    """Write the model with scores of all codes, taken from a sample."""
    torch.set_num_threads(job.threads)
    Path(job.folder).mkdir(parents=True, exist_ok=True)
    Path(job.scratch).mkdir(parents=True, exist_ok=True)
    model = Copula(GeneratorSpec.from_json(job.spec))
    model.set_scores(*scores_of(model.spec, _sample(job, "train", SEEN_ROWS)))
    save_weights(Path(job.scratch) / START, model.state_dict())
    return ""


def scores_of(spec: GeneratorSpec, seen: list[FamilyBatch]) -> tuple[Scores, Scores]:
    """Scores of the codes of rows, and of their context, from some training rows."""
    data = concat(seen)
    above = data.context.repeat_interleave(data.lengths, 0)
    cards = spec.cards + spec.context_cards
    codes = torch.cat([data.codes, above], 1)[: max(1, MAX_CELLS // len(cards))]
    axes = list(torch.split(code_places(codes, cards), cards))
    own = len(spec.cards)
    features, of_context = spec.code_features()
    counts = [
        torch.bincount(above[above[:, i] >= 0, i], minlength=card).tolist() for i, card in enumerate(spec.context_cards)
    ]
    return code_scores(features, spec.frequencies, axes[:own]), code_scores(of_context, counts, axes[own:])


def summed(job: FitJob, frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """The moments of all packs of a partition."""
    from spark_synth.feed import packs_of

    torch.set_num_threads(1)  # one core per task
    model = _started(job)
    moments = Moments.none(model)
    for batch in rebatched((pack for frame in frames for pack in packs_of(frame, job.shape)), BATCH_ROWS):
        moments.add(model, batch)
    part = TaskContext.get().partitionId()  # type: ignore[union-attr]
    yield pd.DataFrame({"part": [part], "sums": [moments.vector().tobytes()]})


def solved(job: FitJob, frames: Iterable[pd.DataFrame], began: float) -> Iterator[pd.DataFrame]:
    """The model from the sums of all partitions; written, and how it went."""
    torch.set_num_threads(job.threads)
    model = _started(job)
    moments = Moments.none(model)
    whole = sum(np.frombuffer(s, dtype=np.float64) for frame in frames for s in frame["sums"])
    moments.take(np.asarray(whole))
    seen, held = _sample(job, "train", SEEN_ROWS), _sample(job, "holdout", HELD_ROWS)
    losses = fit_copula(model, moments, seen, held)
    seconds = time.time() - began
    result = FitResult(job.table, 1, seconds, job.train_rows / seconds, 1, losses[1][1], "moments of all rows")
    for epoch, (train, held_out) in enumerate(losses):  # with frequencies alone, then with everything
        result.history.append({"epoch": epoch, "train_loss": train, "holdout_loss": held_out, "seconds": seconds})
    tell(Path(job.scratch), {**result.history[-1], "epochs": 1, "rows_per_second": result.rows_per_second})
    yield pd.DataFrame({"result": [_finish(job, model, result)]})


def _finish(job: FitJob, model: Copula, result: FitResult) -> str:
    folder = Path(job.folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(folder / "weights.safetensors", model.state_dict())
    write_json(folder / "spec.json", model.spec.to_json())
    write_json(folder / "result.json", asdict(result))
    return json.dumps(asdict(result))


def _started(job: FitJob) -> Copula:
    model = Copula(GeneratorSpec.from_json(job.spec))
    model.load_state_dict(load_file(Path(job.scratch) / START))
    return model


def _sample(job: FitJob, split: str, rows: int) -> list[FamilyBatch]:
    from spark_synth.feed import read_packs

    return read_packs(f"{job.packs}/split={split}", job.shape, rows)
