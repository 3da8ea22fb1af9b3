"""The default family on another device than the CPU: everything moves, and says the same there."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spark_synth.generation.masks import Room
from spark_synth.models.autoregressive import Autoregressive
from spark_synth.models.base import Tilt
from spark_synth.models.batch import ABSENT, FamilyBatch
from spark_synth.models.marginals import match_marginals
from spark_synth.models.sampling import stratified
from spark_synth.models.spec import GeneratorSpec, SetSpec
from spark_synth.training.associations import with_associations
from spark_synth.training.step import make_optimizer, train_step
from spark_synth.training.ties import with_ties

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

CARDS, CONTEXT = [3, 5, 4, 6, 30], [4, 7]
FIXED, GIVEN = 2, 3
FAMILIES, ROWS = 40, 5
SPEC = GeneratorSpec(
    cards=CARDS,
    fixed=FIXED,
    unseen=[1],
    given=[GIVEN],
    context_cards=CONTEXT,
    summaries={2: [0]},
    linked={4: [0, 1]},
    sets=[SetSpec(2, [3], [[[]] * 3])],
    pairs={4: [0, 6, 9]},
    room={2: [2, 3, 1, 4]},
    recurrent=True,
    timed=True,
    frequencies=[[1.0] * card for card in CARDS],
    hidden=16,
    head=8,
    dropout=0.0,
)


class ZeroClock:
    """The given sub-column is 0."""

    def advance(self, active: int, step: int, codes: np.ndarray) -> np.ndarray:
        return np.zeros((active, 1), dtype=np.int64)


@pytest.fixture
def model() -> Autoregressive:
    """A network of every part there is, with weights away from their start."""
    torch.manual_seed(1)
    made = Autoregressive(SPEC)
    for weight in [*made.outer.parameters(), *made.pairs.parameters()]:
        nn.init.normal_(weight, std=0.5)
    return made


@pytest.fixture
def batch() -> FamilyBatch:
    """Families of ROWS rows; some codes are absent."""
    torch.manual_seed(2)
    count = FAMILIES * ROWS
    codes = torch.stack([torch.randint(0, card, (count,)) for card in CARDS], 1)
    codes[::7, 4] = ABSENT
    context = torch.stack([torch.randint(0, card, (FAMILIES,)) for card in CONTEXT], 1)
    lengths, start = torch.full((FAMILIES,), ROWS), torch.zeros(FAMILIES, dtype=torch.int64)
    return FamilyBatch(codes, context, lengths, start, lengths, torch.randint(-1, 3, (count, 2)))


def drawn(model: Autoregressive, batch: FamilyBatch, device: str, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """New rows, and how often the codes of the tilted sub-column were expected; both on the CPU."""
    model, here = copy.deepcopy(model).to(device), batch.to(device)
    tilt = {4: Tilt(torch.linspace(-1, 1, CARDS[4], device=device))}
    room, fixed = Room(SPEC.room, np.ones(FAMILIES, bool)), here.codes[:, :FIXED]
    codes = model.sample(
        here.context, here.lengths, here.start, here.size, generator, ZeroClock(), room, fixed, tilt, here.sets
    )
    assert codes.device.type == device
    return codes.cpu(), tilt[4].expected.cpu()


def test_a_batch_moves_with_all_that_belongs_to_it(batch: FamilyBatch) -> None:
    moved = batch.to("meta")  # holds no data: what is known there was known before
    tensors = [getattr(moved, f.name) for f in dataclasses.fields(moved)]
    assert {t.device.type for t in tensors} == {"meta"}
    assert (moved.rows, moved.longest) == (batch.rows, ROWS)
    same = batch.to("cpu")
    assert all(torch.equal(getattr(same, f.name), getattr(batch, f.name)) for f in dataclasses.fields(batch))
    assert dataclasses.replace(batch, sets=None).to("cpu").sets is None


@on_gpu
def test_losses_and_gradients_are_those_of_the_cpu(model: Autoregressive, batch: FamilyBatch) -> None:
    there = copy.deepcopy(model).to("cuda")
    torch.testing.assert_close(
        there.column_losses(batch.to("cuda")).cpu(), model.column_losses(batch), rtol=1e-4, atol=1e-3
    )
    for one, on in ((model, batch), (there, batch.to("cuda"))):
        train_step(one, make_optimizer(one, 0.01, 10), on)
    for here, other in zip(model.parameters(), there.parameters(), strict=True):
        if here.grad is not None:
            assert other.grad is not None
            torch.testing.assert_close(other.grad.cpu(), here.grad, rtol=1e-2, atol=1e-4)


@on_gpu
def test_rows_are_drawn_alike(model: Autoregressive, batch: FamilyBatch) -> None:
    mine, expected = drawn(model, batch, "cpu", torch.Generator().manual_seed(3))
    codes, there = drawn(model, batch, "cuda", torch.Generator().manual_seed(3))
    assert (codes == mine).float().mean() > 0.95
    torch.testing.assert_close(there, expected, rtol=0.05, atol=0.5)
    own = [drawn(model, batch, "cuda", torch.Generator("cuda").manual_seed(s))[0] for s in (5, 5, 6)]
    assert torch.equal(own[0], own[1]) and not torch.equal(own[0], own[2])


@on_gpu
def test_uniforms_of_a_generator_on_the_cpu_are_the_same_everywhere() -> None:
    alike = torch.rand(500)
    there = stratified(alike.to("cuda"), torch.Generator().manual_seed(1))
    torch.testing.assert_close(there.cpu(), stratified(alike, torch.Generator().manual_seed(1)))


@on_gpu
def test_what_follows_training_runs_there_too(model: Autoregressive, batch: FamilyBatch) -> None:
    batch = dataclasses.replace(batch, codes=batch.codes.clone())
    batch.codes[:, 4] = batch.codes[:, 2] * 7 + batch.codes[:, 0]  # a tie to be found
    ordered = [[[float(i)] for i in range(card)] for card in CARDS + CONTEXT]
    plain, made = dataclasses.replace(SPEC, pairs={}), {}
    for device in ("cpu", "cuda"):
        here = batch.to(device)
        torch.manual_seed(1)
        there = Autoregressive(with_associations(plain, [here])).to(device)
        made[device] = with_ties(there, ordered, [here], [here])
        match_marginals(made[device], [here])
    assert made["cuda"].spec.pairs == made["cpu"].spec.pairs and made["cpu"].spec.pairs[4]
    with torch.no_grad():
        losses = {d: m.column_losses(batch.to(d)).cpu() for d, m in made.items()}
    torch.testing.assert_close(losses["cuda"], losses["cpu"], rtol=0.02, atol=0.5)
