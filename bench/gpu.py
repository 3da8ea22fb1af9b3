"""The default generator on a GPU and on the CPU: training, drawing, and whether both do the same; see bench/gpu.md.

    python -m bench.gpu pack MODEL PACKS DATA            families of a training run, from its packs, as one file
    python -m bench.gpu measure MODEL DATA --out FOLDER  writes results.json and profile.txt

MODEL is the folder of a trained network (spec.json, weights.safetensors). Only `pack` needs Petastorm.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.gpu_data import batches, draw, load, longest_first, pack
from spark_synth.models.autoregressive import Autoregressive
from spark_synth.models.batch import FamilyBatch
from spark_synth.models.families import read_model
from spark_synth.models.network import GeneratorNetwork
from spark_synth.models.spec import GeneratorSpec, read_spec
from spark_synth.training.step import held_out_loss, make_optimizer, train_step

RATE = 0.002
BATCH_ROWS = [512, 2048, 8192, 32768]
FAMILIES = [64, 512, 4096]
BESIDE = [1, 2, 4, 8]
USUAL_ROWS = 2048
SAME_STEPS, SAME_SEEDS = 100, 3
WINDOWS, WINDOW_SECONDS = 5, 0.4  # on the CPU 3
LONG_SECONDS = 15  # after which no further window is begun
GPU_MODES = ["float32", "tf32", "bf16"]
PARTS = ["train", "compile", "beside", "draw", "losses", "codes", "profile"]


class Usage:
    """What nvidia-smi says while something runs: mean GPU utilisation in percent."""

    def __init__(self, device: str) -> None:
        self.device, self.seen = device, list[float]()

    def __enter__(self) -> Usage:
        if self.device == "cuda":
            query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "100"]
            self.process = subprocess.Popen(query, stdout=subprocess.PIPE, text=True)
            threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.device == "cuda":
            self.process.terminate()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            with contextlib.suppress(ValueError):
                self.seen.append(float(line))

    def percent(self) -> float | None:
        """Mean of the later half of what was seen: nvidia-smi looks back some time itself."""
        later = self.seen[len(self.seen) // 2 :]
        return round(statistics.mean(later)) if later else None


def wait(device: str) -> None:
    """Until the device has done everything that it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def windows(device: str, work: Callable[[int], int], seconds: float = WINDOW_SECONDS) -> dict[str, Any]:
    """Median, lowest and highest rows per second of `work`, which does its i-th piece and tells its rows."""
    for i in range(3 if device == "cuda" else 1):
        work(i)
    wait(device)
    rates, first = list[float](), time.perf_counter()
    with Usage(device) as usage:
        while len(rates) < (WINDOWS if device == "cuda" else 3):
            if rates and time.perf_counter() - first > LONG_SECONDS:
                break
            began, rows, i = time.perf_counter(), 0, 0
            while time.perf_counter() - began < seconds:
                rows, i = rows + work(i), i + 1
            wait(device)
            rates.append(rows / (time.perf_counter() - began))
    return {
        "rows_per_second": round(statistics.median(rates)),
        "range": [round(min(rates)), round(max(rates))],
        "gpu_percent": usage.percent(),
    }


@contextlib.contextmanager
def mode(name: str) -> Iterator[None]:
    """float32 throughout, TF32 allowed, or bfloat16 where autocast has it."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = name != "float32"
    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=name == "bf16"):
        yield


def network(spec: GeneratorSpec, device: str, seed: int = 0) -> Autoregressive:
    """A network at its start."""
    torch.manual_seed(seed)
    return Autoregressive(spec).to(device).train()


def training(
    spec: GeneratorSpec,
    whole: FamilyBatch,
    device: str,
    rows: int,
    how: str,
    compiled: bool = False,
    seconds: float = WINDOW_SECONDS,
) -> dict[str, Any]:
    """Rows per second of training steps, batches copied from the host's memory included."""
    model = network(spec, device)
    if compiled:
        model.loss = torch.compile(model.loss, dynamic=True)  # type: ignore[method-assign]
    optimizer, fed = make_optimizer(model, RATE, 100), batches(whole, rows, 16 if rows < 10_000 else 4)

    def work(i: int) -> int:
        batch = fed[i % len(fed)].to(device)
        with mode(how):  # around each step: autocast keeps its copies of the weights until it ends
            train_step(model, optimizer, batch)
        return batch.rows

    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    found = windows(device, work, seconds)
    if device == "cuda":
        found["peak_mib"] = torch.cuda.max_memory_allocated() >> 20
    return found


def side_by_side(spec: GeneratorSpec, whole: FamilyBatch, count: int) -> dict[str, Any]:
    """Rows per second of so many processes together, each with a network of its own on the one GPU."""
    job = (spec, whole, "cuda", USUAL_ROWS, "tf32", False, 2.0)
    with torch.multiprocessing.get_context("spawn").Pool(count) as pool:
        found = pool.starmap(training, [job] * count, chunksize=1)
    return {
        "rows_per_second": sum(f["rows_per_second"] for f in found),
        "gpu_percent": max(f["gpu_percent"] for f in found),
    }


def drawing(model: GeneratorNetwork, whole: FamilyBatch, device: str, families: int) -> dict[str, Any]:
    """Rows per second of one block of so many families at a time."""
    block = longest_first(whole, families)

    def work(i: int) -> int:
        return len(draw(model, block, device, i))

    return windows(device, work)


def held_out(spec: GeneratorSpec, whole: FamilyBatch, held: FamilyBatch, device: str, how: str, seed: int) -> float:
    """Held-out loss after SAME_STEPS steps."""
    model, fed = network(spec, device, seed), batches(whole, USUAL_ROWS, SAME_STEPS)
    optimizer = make_optimizer(model, RATE, 100)
    for batch in fed:
        with mode(how):
            train_step(model, optimizer, batch.to(device))
    with mode("float32"):
        return held_out_loss(model, [b.to(device) for b in batches(held, USUAL_ROWS, 5)])


def same_losses(spec: GeneratorSpec, whole: FamilyBatch, held: FamilyBatch) -> dict[str, list[float]]:
    """Held-out losses by device and mode, with and without dropout (which draws differently on each device)."""
    out = {}
    for device, how in [("cpu", "float32"), *(("cuda", m) for m in GPU_MODES)]:
        plain = dataclasses.replace(spec, dropout=0.0)
        out[f"{device} {how} no dropout"] = [held_out(plain, whole, held, device, how, 0)]
        out[f"{device} {how}"] = [held_out(spec, whole, held, device, how, s) for s in range(SAME_SEEDS)]
    return out


def same_codes(models: dict[str, GeneratorNetwork], whole: FamilyBatch) -> dict[str, Any]:
    """Total variation of each drawn sub-column between drawings: CPU and GPU, and two of the CPU."""
    block, spec = longest_first(whole, 1024), models["cpu"].spec
    drawn = [j for j in range(spec.fixed, len(spec.cards)) if j not in spec.given]
    mine = draw(models["cpu"], block, "cpu", 1)
    others = {
        "cpu, other seed": draw(models["cpu"], block, "cpu", 2),
        "cuda": draw(models["cuda"], block, "cuda", 1),
        "cuda, drawn by the CPU's generator": draw(models["cuda"], block, "cuda", 1, "cpu"),
    }

    def shares(codes: Tensor, j: int) -> Tensor:
        return torch.bincount(codes[:, j] + 1, minlength=spec.cards[j] + 1) / len(codes)

    return {
        name: {
            "variation": [round(float((shares(mine, j) - shares(codes, j)).abs().sum() / 2), 5) for j in drawn],
            "equal": round(float((mine[:, drawn] == codes[:, drawn]).float().mean()), 4),
        }
        for name, codes in others.items()
    }


def profile(spec: GeneratorSpec, whole: FamilyBatch, to: Path, steps: int = 10) -> None:
    """Where the time of a training step goes, as text."""
    model, fed = network(spec, "cuda"), batches(whole, USUAL_ROWS, steps)
    optimizer = make_optimizer(model, RATE, 100)
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with mode("tf32"):
        for batch in fed:
            train_step(model, optimizer, batch.to("cuda"))
        wait("cuda")
        with torch.profiler.profile(activities=activities) as found:
            for batch in fed:
                train_step(model, optimizer, batch.to("cuda"))
            wait("cuda")
    averages = found.key_averages()
    tables = [averages.table(sort_by=s, row_limit=30) for s in ("self_cuda_time_total", "self_cpu_time_total")]
    to.write_text("\n".join(tables))


def measure(folder: Path, data: Path, out: Path, parts: list[str], threads: list[int]) -> None:
    """Run the parts in turn; what each found is written and told at once."""
    spec = dataclasses.replace(read_spec(folder), pairs={})  # tables of pairs come after training
    whole, held = load(data, "train", spec), load(data, "holdout", spec)
    results: dict[str, Any] = {}

    def tell(name: str, found: Any) -> None:  # noqa: ANN401 - anything JSON has
        results[name] = found
        (out / "results.json").write_text(json.dumps(results, indent=1))
        print(name, json.dumps(found), flush=True)  # noqa: T201

    tell("machine", {"torch": torch.__version__, "gpu": torch.cuda.get_device_name(), "cores": os.cpu_count()})
    cpu = [("cpu", f"{n} threads", n) for n in threads]
    if "train" in parts:
        for rows in BATCH_ROWS:
            for device, how, n in [*cpu, *(("cuda", m, threads[-1]) for m in GPU_MODES)]:
                torch.set_num_threads(n)
                tell(f"train {rows} {device} {how}", training(spec, whole, device, rows, how))
    for count in BESIDE if "beside" in parts else []:
        tell(f"train {USUAL_ROWS} cuda tf32, {count} side by side", side_by_side(spec, whole, count))
    models: dict[str, GeneratorNetwork] = {"cpu": read_model(folder), "cuda": read_model(folder).to("cuda")}
    if "draw" in parts:
        for families in FAMILIES:
            for device, how, n in [*cpu, ("cuda", "float32", threads[-1])]:
                torch.set_num_threads(n)
                with mode("float32"):
                    tell(f"draw {families} {device} {how}", drawing(models[device], whole, device, families))
    torch.set_num_threads(threads[-1])
    if "losses" in parts:
        tell("losses", same_losses(spec, whole, held))
    if "codes" in parts:
        with mode("float32"):
            tell("codes", same_codes(models, whole))
    if "profile" in parts:
        profile(spec, whole, out / "profile.txt")
    if "compile" in parts:
        for rows in BATCH_ROWS:
            tell(f"train {rows} cuda tf32 compiled", training(spec, whole, "cuda", rows, "tf32", compiled=True))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    packing, measuring = commands.add_parser("pack"), commands.add_parser("measure")
    packing.add_argument("model", type=Path)
    packing.add_argument("packs", type=Path)
    packing.add_argument("data", type=Path)
    measuring.add_argument("model", type=Path)
    measuring.add_argument("data", type=Path)
    measuring.add_argument("--out", type=Path, default=Path("."))
    measuring.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    measuring.add_argument("--threads", nargs="+", type=int, default=[1, os.cpu_count() or 1], help="of the CPU")
    args = parser.parse_args()
    if args.command == "pack":
        pack(read_spec(args.model), args.packs, args.data)
    else:
        args.out.mkdir(parents=True, exist_ok=True)
        measure(args.model, args.data, args.out, args.parts, args.threads)


if __name__ == "__main__":
    main()
