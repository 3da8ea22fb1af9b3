"""The training of one table, as it runs inside a Spark task: plain data in, plain data out, no session."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

import torch

from spark_synth.feed import read_packs
from spark_synth.models.autoregressive import Autoregressive
from spark_synth.models.batch import rebatched
from spark_synth.models.families import build
from spark_synth.models.graph_vae import GraphVae
from spark_synth.models.marginals import match_marginals
from spark_synth.models.spec import GeneratorSpec
from spark_synth.training.associations import with_associations
from spark_synth.training.checkpoint import save_weights
from spark_synth.training.job import FitJob, FitResult
from spark_synth.training.loop import Loop
from spark_synth.training.ranks import ALONE, Ranks
from spark_synth.training.step import held_out_loss
from spark_synth.training.ties import with_ties
from spark_synth.whole import write_json

HOLDOUT_ROWS = 50_000  # held-out rows looked at after each epoch
SEEN_ROWS = 50_000  # training rows that the features of codes and the final biases are taken from


def fit_table(job: FitJob, ranks: Ranks = ALONE) -> FitResult:
    """Train, write `weights.safetensors`, `spec.json` and `result.json` into `job.folder`, and say how it went.

    A finished table is left as it is; an unfinished one continues at its last checkpoint. Without enough rows the
    weights stay at their start, which is the smoothed frequency model. ranks: who trains it with us; only the leading
    one writes.
    """
    folder, scratch = Path(job.folder), Path(job.scratch)
    if (folder / "result.json").exists():
        return FitResult(**json.loads((folder / "result.json").read_text()))
    folder.mkdir(parents=True, exist_ok=True)
    scratch.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(job.threads)
    torch.manual_seed(job.seed)
    spec = GeneratorSpec.from_json(job.spec)
    result = FitResult(job.table, 0, 0.0, 0.0, 0, math.nan, "too few rows: frequencies")
    if job.epochs and job.holdout_rows:
        seen = read_packs(f"{job.packs}/split=train", job.shape, SEEN_ROWS if ranks.leads else 0)
        own, above = spec.code_features()  # those of their order, without what associations add
        frequent = spec
        spec = ranks.told(lambda: with_associations(frequent, seen))
        model = build(spec).to(job.device)
        holdout = read_packs(f"{job.packs}/split=holdout", job.shape, HOLDOUT_ROWS)
        holdout = [b.to(job.device) for b in rebatched(holdout, job.batch_rows)]
        result = Loop(job, model, holdout, ranks).run()
        if not ranks.leads:
            return result
        seen = [b.to(job.device) for b in rebatched(seen, job.batch_rows)]
        if isinstance(model, Autoregressive):
            model = with_ties(model, own + above, seen, holdout)
            result.tables = sum(len(s) for s in model.spec.pairs.values())
            result.tied_loss = held_out_loss(model, holdout)
        if isinstance(model, Autoregressive | GraphVae):
            match_marginals(model, seen + holdout)
        spec = model.spec
    else:
        model = build(spec)
    save_weights(folder / "weights.safetensors", model.state_dict())
    write_json(folder / "spec.json", spec.to_json())
    write_json(folder / "result.json", asdict(result))
    return result
