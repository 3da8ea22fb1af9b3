"""One large table trained by several executors: torch's DistributedDataParallel, started by Spark's TorchDistributor.

Every rank is a barrier task of Spark that runs torchrun for one process. It reads its own shard of the packs, and all
take the same number of steps. Spark gives up a job whose barrier stage lost a task; here it starts again, as often as
Spark would try any other task, and goes on at the last checkpoint.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from pyspark import TaskContext
from pyspark.ml.torch.distributor import TorchDistributor
from pyspark.sql import SparkSession
from torch import distributed

from spark_synth.errors import RunError, UserError
from spark_synth.feed import row_groups, shard_rows
from spark_synth.training.device import place_of
from spark_synth.training.fit import fit_table
from spark_synth.training.job import FitJob, FitResult
from spark_synth.training.loop import tell
from spark_synth.training.ranks import Ranks

PATIENCE = timedelta(minutes=30)  # a rank waits for the others: the leading one writes checkpoints, evaluates, ties
VISIBLE = "CUDA_VISIBLE_DEVICES"


def fit_together(spark: SparkSession, job: FitJob) -> FitResult:
    """Train a table on `job.ranks` executors; UserError where its row groups cannot be shared equally, RunError where
    it failed too often."""
    found = row_groups(f"{job.packs}/split=train")
    if found % job.ranks:
        raise UserError(
            f"table {job.table}: its training set has {found} row groups, which {job.ranks} ranks cannot share "
            f"equally: set train.world_size to a divisor of {found}"
        )
    logging.getLogger(_Launcher.__name__).addHandler(logging.NullHandler())  # it would write to stderr
    conf = spark.sparkContext.getConf()
    by_gpu = float(conf.get("spark.task.resource.gpu.amount", "0")) > 0
    for left in reversed(range(int(conf.get("spark.task.maxFailures", "4")))):
        try:
            launcher = _Launcher(job.ranks, local_mode=False, use_gpu=by_gpu)
            return FitResult(**launcher.run(fit_rank, asdict(job)))
        except Exception as error:  # what torchrun tells of a process that failed is lost on the way
            failure = f"table {job.table}: {_first_failure(job) or 'a rank was lost'}"
            if not left or f" {RunError.__name__}: " in failure:  # what is wrong with the data stays wrong
                raise RunError(failure) from error
            Path(job.scratch).mkdir(parents=True, exist_ok=True)
            tell(Path(job.scratch), {"note": f"{failure}; it goes on at its last checkpoint"})
    raise AssertionError


def fit_rank(plain: dict[str, Any]) -> dict[str, Any]:
    """What each process does: find the others, check the shards, train; what the leading one returns is the result."""
    job = FitJob(**plain)
    on_gpu = torch.cuda.is_available()  # torchrun's process sees the GPUs of its Spark task alone
    failure = Path(job.scratch) / f"failed-{os.environ['RANK']}"
    failure.unlink(missing_ok=True)
    distributed.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=PATIENCE)
    try:
        ranks = Ranks(distributed.get_rank(), distributed.get_world_size())
        check_shards(job, ranks)
        result = fit_table(replace(job, device="cuda:0" if on_gpu else "cpu"), ranks)
        return asdict(replace(result, placed=_placed(ranks)))
    except Exception as error:
        failure.parent.mkdir(parents=True, exist_ok=True)
        failure.write_text(f"{type(error).__name__}: {error}")
        raise
    finally:
        distributed.destroy_process_group()


def _first_failure(job: FitJob) -> str:
    """What the rank that failed first said of it; the others then failed for want of it."""
    told = sorted(Path(job.scratch).glob("failed-*"), key=lambda p: p.stat().st_mtime_ns)
    return f"rank {told[0].name.removeprefix('failed-')}: {told[0].read_text().splitlines()[0]}" if told else ""


def check_shards(job: FitJob, ranks: Ranks) -> None:
    """RunError where the shards together are not the training rows of the table, each once."""
    own = shard_rows(f"{job.packs}/split=train", (ranks.rank, ranks.count))
    shares = [int(x) for x in ranks.stacked(torch.tensor([own]))[:, 0]]
    if sum(shares) != job.train_rows:
        raise RunError(
            f"the shards of its training set hold {' + '.join(f'{s:,}' for s in shares)} rows, "
            f"not {job.train_rows:,}: remove the training folder and train again"
        )


def _placed(ranks: Ranks) -> str:
    """Hosts and GPUs of all ranks, in words."""
    own = place_of(os.environ.get(VISIBLE) or None)
    parts: list[str] = [""] * ranks.count
    distributed.all_gather_object(parts, own)
    return "; ".join(parts)


class _Launcher(TorchDistributor):
    """TorchDistributor whose processes are as quiet as the rest, and import what their Spark tasks can import."""

    def run(self, train_object: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """See TorchDistributor.run."""
        return self._run(train_object, _launched, *args, **kwargs)


def _launched(input_params: dict[str, Any], train_path: str) -> None:
    """In the Spark task: run torchrun; RuntimeError with its last lines where it fails."""
    command = TorchDistributor._create_torchrun_command(input_params, train_path)
    with _environment():
        TorchDistributor._execute_command(command, redirect_to_stdout=False)


@contextmanager
def _environment() -> Iterator[None]:
    """What the process needs beside what TorchDistributor has set; all of it goes afterwards, as Spark's Python workers
    live on and train other tables on other GPUs."""
    path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # torchrun would set it and say so; a rank sets its own threads
    try:
        yield
    finally:
        for name in ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "NODE_RANK", "RANK"):
            os.environ.pop(name, None)
        if os.environ.get(VISIBLE) == ",".join(_addresses()):
            os.environ.pop(VISIBLE, None)
        if path is None:
            os.environ.pop("PYTHONPATH")
        else:
            os.environ["PYTHONPATH"] = path


def _addresses() -> list[str]:
    """Of the GPUs that Spark gave this task."""
    context = TaskContext.get()
    given = context.resources().get("gpu") if context else None
    return list(given.addresses) if given else []
