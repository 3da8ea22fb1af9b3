"""One level of the GAN on tensors alone: masks, course, sampling, and its distance from held-out rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from spark_synth.models import gan_generator, sampling
from spark_synth.models.base import Observed
from spark_synth.models.batch import ABSENT, FamilyBatch
from spark_synth.models.gan_critic import packs
from spark_synth.models.gan_distance import collapsed, distances
from spark_synth.models.gan_level import GanLevel
from spark_synth.models.spec import GanSpec, GeneratorSpec

CARDS = [4, 3, 6, 9]
FIXED, GIVEN = 1, 3  # the given one is one and a half times the ordered one by HalfClock
FREQUENCIES = [[1.0] * 4, [5.0, 3.0, 2.0], [3.0, 4.0, 0.0, 4.0, 2.0, 1.0], [1.0] * 9]
COSINES = [[math.cos(math.pi * m * i / 5) for m in range(1, 7)] for i in range(6)]
ENDS = [(0, 5), (5, 8), (8, 9)]  # of the families of `batch`


class HalfClock:
    """The given sub-column follows from the ordered one."""

    def advance(self, active: int, step: int, codes: np.ndarray) -> np.ndarray:
        return codes[:, 2:3] * 3 // 2


def level(network: str, packed: int = 1, recurrent: bool = True) -> GanLevel:
    """A small conditional level."""
    torch.manual_seed(1)
    return GanLevel(
        GeneratorSpec(
            CARDS,
            fixed=FIXED,
            given=[GIVEN],
            context_cards=[4, 6],
            recurrent=recurrent,
            frequencies=FREQUENCIES,
            features=[[[]] * 4, [[]] * 3, COSINES, [[]] * 9],
            hidden=16,
            head=8,
            family="gan",
            gan=GanSpec(network, 5, packed),
        )
    ).eval()


def everything(batch: FamilyBatch) -> Tensor:
    """bool (N, C): all codes are known."""
    return torch.ones_like(batch.codes, dtype=torch.bool)


@pytest.fixture
def batch() -> FamilyBatch:
    """Families and segments of 5, 3 and 1 rows; one has no owner, some codes are absent."""
    torch.manual_seed(2)
    codes = torch.stack([torch.randint(0, card, (9,)) for card in CARDS], 1)
    codes[:, 2] = torch.tensor([0, 1, 3, 3, 1, 5, 4, 0, 1])
    codes[:, GIVEN] = codes[:, 2] * 3 // 2
    codes[2, 2] = codes[6, 1] = codes[2, GIVEN] = ABSENT
    context = torch.tensor([[1, 5], [ABSENT, ABSENT], [3, 0]])
    return FamilyBatch(codes, context, torch.tensor([5, 3, 1]), torch.tensor([0, 40, 0]), torch.tensor([5, 900, 1]))


def one_family(batch: FamilyBatch, i: int) -> FamilyBatch:
    rows, one = slice(*ENDS[i]), slice(i, i + 1)
    return FamilyBatch(batch.codes[rows], batch.context[one], batch.lengths[one], batch.start[one], batch.size[one])


def score(model: GanLevel, batch: FamilyBatch) -> Tensor:
    scores: Tensor = model.critic(
        model.columns.encode(batch.codes), model.above(batch.context), batch, model.conditions(batch)
    )
    return scores


def sample(model: GanLevel, batch: FamilyBatch, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return model.sample(
        batch.context, batch.lengths, batch.start, batch.size, generator, HalfClock(), fixed=batch.codes[:, :FIXED]
    )


def test_a_judgement_does_not_depend_on_batch_mates(batch: FamilyBatch) -> None:
    model = level("cnn")
    alone = torch.cat([score(model, one_family(batch, i)) for i in range(3)])
    torch.testing.assert_close(score(model, batch), alone)


def test_packs_are_judged_together(batch: FamilyBatch) -> None:
    assert packs(5, 2, torch.device("cpu")).tolist() == [[0, 1], [2, 3], [4, 0]]
    model = level("cnn", packed=2)
    whole = score(model, batch)
    assert whole.shape == (2,)
    other = replace(batch, codes=batch.codes.clone())
    other.codes[5:8, 1] = torch.tensor([2, ABSENT, 0])  # of the second family, which is in the first pack
    changed = score(model, other)
    assert whole[0] != changed[0] and whole[1] == changed[1]


@pytest.mark.parametrize("network", ["lstm", "cnn"])
def test_a_family_is_made_without_its_batch_mates(network: str, batch: FamilyBatch) -> None:
    model = level(network)
    of_family, of_row = model.generator.draw_noise(3, 9, torch.Generator().manual_seed(0))
    whole = model.generator(
        batch, model.above(batch.context), model.conditions(batch), everything(batch), noise=(of_family, of_row)
    )
    for i, (low, high) in enumerate(ENDS):
        one = one_family(batch, i)
        noise = (of_family[i : i + 1], of_row[low:high])
        made = model.generator(one, model.above(one.context), model.conditions(one), everything(one), noise=noise)
        for part, all_rows in zip(made.logits, whole.logits, strict=True):
            torch.testing.assert_close(part, all_rows[low:high])


@pytest.mark.parametrize("network", ["lstm", "cnn"])
@pytest.mark.parametrize("recurrent", [True, False])
def test_rows_told_all_at_once_are_those_told_one_by_one(network: str, recurrent: bool, batch: FamilyBatch) -> None:
    model = level(network, recurrent=recurrent)
    known = (model.above(batch.context), model.conditions(batch))
    noise = model.generator.draw_noise(3, 9, torch.Generator().manual_seed(0))
    made = model.generator(batch, *known, everything(batch), noise=noise)
    for one_by_one, at_once in zip(made.logits, model.generator.told(batch, *known, noise), strict=True):
        torch.testing.assert_close(one_by_one, at_once)


@pytest.mark.parametrize("network", ["lstm", "cnn"])
def test_in_training_some_rows_do_not_hear_the_row_before(
    network: str, batch: FamilyBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = level(network).train()
    known = (model.above(batch.context), model.conditions(batch))
    noise = model.generator.draw_noise(3, 9, torch.Generator().manual_seed(0))
    last = ENDS[0][1] - 1  # of a family of five rows
    for share, heard in ((0.0, True), (1.0, False)):
        monkeypatch.setattr(gan_generator, "UNHEARD", share)
        before = model.generator.told(batch, *known, noise)[0][last]
        other = replace(batch, codes=batch.codes.clone())
        other.codes[last - 1, 1] = 1 - other.codes[last - 1, 1].clamp(0, 1)
        after = model.generator.told(other, *known, noise)[0][last]
        assert torch.equal(before, after) != heard


@pytest.mark.parametrize("network", ["lstm", "cnn"])
def test_what_is_absent_is_neither_judged_nor_learnt(network: str, batch: FamilyBatch) -> None:
    model = level(network)
    batch.codes[:, 2] = ABSENT
    made = model.make(batch)
    assert not made.chosen[1].any()
    rows = model.columns.numbers(made.chosen)
    scores: Tensor = model.critic(rows, model.above(batch.context), batch, model.conditions(batch))
    (scores.sum() + model.evidence_loss(batch, model.conditions(batch))).backward()  # type: ignore[no-untyped-call]
    slopes = [p.grad for p in model.generator.heads[1].parameters()]
    assert all(g is None or not g.any() for g in slopes)
    assert all(g is not None and g.any() for g in [p.grad for p in model.generator.heads[0].parameters()])
    seen = model.critic.row.weight.grad
    assert seen is not None and seen[:, :3].any() and not seen[:, 3:].any()


@pytest.mark.parametrize("network", ["lstm", "cnn"])
@pytest.mark.parametrize("recurrent", [True, False])
def test_courses_go_as_training_does(
    network: str, recurrent: bool, batch: FamilyBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logits of the sampler, given the real codes, are those of the generator with the same noise."""
    model = level(network, recurrent=recurrent)
    batch.codes[:, 1] = batch.codes[:, 1].clamp(min=0)
    batch.codes[2, 2], batch.codes[2, GIVEN] = 3, 4
    noise = model.generator.draw_noise(3, 9, torch.Generator().manual_seed(3))
    made = model.generator(batch, model.above(batch.context), model.conditions(batch), everything(batch), noise=noise)
    position = batch.position()
    waiting: Iterator[tuple[Tensor, int]] = iter([(position == step, j) for step in range(5) for j in (0, 1)])

    def forced(logits: Tensor, uniform: Tensor) -> Tensor:
        rows, i = next(waiting)
        torch.testing.assert_close(logits, made.logits[i][rows], rtol=1e-4, atol=1e-4)
        return batch.codes[rows, i + 1]

    monkeypatch.setattr(sampling, "inverse_cdf", forced)
    assert torch.equal(sample(model, batch, 3), batch.codes)
    assert next(waiting, None) is None


@pytest.mark.parametrize("network", ["lstm", "cnn"])
def test_rows_follow_the_seed(network: str, batch: FamilyBatch) -> None:
    model = level(network)
    first, again, other = sample(model, batch, 7), sample(model, batch, 7), sample(model, batch, 8)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.shape == (9, 4) and torch.equal(first[:, 0], batch.codes[:, 0])
    assert torch.equal(first[:, GIVEN], first[:, 2] * 3 // 2)
    assert not (first == ABSENT).any() and not (first[:, 2] == 2).any()


@pytest.mark.parametrize("network", ["lstm", "cnn"])
def test_nothing_to_draw_and_nobody_to_draw_for(network: str, batch: FamilyBatch) -> None:
    none = torch.zeros(0, dtype=torch.int64)
    nobody = torch.zeros(0, 2, dtype=torch.int64)
    drawn = level(network).sample(nobody, none, none, none, torch.Generator(), fixed=none[:, None])
    assert drawn.shape == (0, 4)
    spec = replace(level(network).spec, cards=[4], fixed=1, given=[], features=[], frequencies=[[1.0] * 4])
    bare = GanLevel(spec)
    drawn = bare.sample(
        batch.context, batch.lengths, batch.start, batch.size, torch.Generator(), fixed=batch.codes[:, :1]
    )
    assert torch.equal(drawn, batch.codes[:, :1])
    assert not bare.distances(replace(batch, codes=drawn)).any()


@pytest.mark.parametrize("network", ["lstm", "cnn"])
def test_families_of_a_cnn_come_out_the_same_in_parts(
    network: str, batch: FamilyBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = level(network)
    whole = sample(model, batch, 5)
    monkeypatch.setattr("spark_synth.models.gan_level.CHUNK", 4)
    assert torch.equal(sample(model, batch, 5), whole)


@pytest.mark.parametrize("network", ["lstm", "cnn"])
def test_known_codes_stay_and_one_draw_stands_for_all(network: str) -> None:
    model, draws = level(network), 16
    lengths = torch.tensor([3, 2]).repeat_interleave(draws)
    known = torch.cat([torch.arange(3).repeat(draws), torch.arange(2).repeat(draws)])
    observed = Observed({2: torch.tensor([0, 3, 5])[known]}, torch.zeros(5 * draws, dtype=torch.float64), draws)
    context, start = torch.zeros(2 * draws, 2, dtype=torch.int64), torch.zeros_like(lengths)
    drawn = model.sample(
        context,
        lengths,
        start,
        lengths,
        torch.Generator().manual_seed(3),
        HalfClock(),
        fixed=torch.zeros(5 * draws, 1, dtype=torch.int64),
        observed=observed,
    )
    assert torch.equal(drawn[:, 2], torch.tensor([0, 3, 5])[known])
    families = drawn[: 3 * draws].view(draws, 3, 4)
    assert (families == families[0]).all()


def test_the_distance_is_that_of_rows_from_real_ones(batch: FamilyBatch) -> None:
    model = level("lstm")
    first, again = model.distances(batch), model.distances(batch)
    assert torch.equal(first, again)  # the noise is always the same
    assert not first[0] and first[1] > 0 and first[2] > 0 and not first[GIVEN]
    torch.testing.assert_close(model.loss(batch), first.sum())
    assert not distances(model.spec, model.columns.drawn, batch, batch).any()


def test_collapse_is_seen() -> None:
    real = [torch.tensor([50, 40, 30, 20, 12, 3]), torch.tensor([9, 9]), torch.tensor([30, 30])]
    fake = [torch.tensor([70, 50, 20, 0, 0, 9]), torch.tensor([18, 0]), torch.tensor([59, 1])]
    assert collapsed(real, fake) == [0]  # three of five common codes; the second column's are all rare
    fake[0][3] = 1
    assert collapsed(real, fake) == []


def test_evidence_bounds_the_likelihood(batch: FamilyBatch) -> None:
    """With noise that changes nothing, and none recognised, the bound is the likelihood."""
    model = level("lstm")
    with torch.no_grad():
        model.generator.noise.weight.zero_()
        for out in (model.recogniser.of_family, model.recogniser.of_row):
            out.weight.zero_()
    made = model.generator(batch, model.above(batch.context), model.conditions(batch), everything(batch))
    parts = [
        F.cross_entropy(logits, batch.codes[:, j], ignore_index=ABSENT, reduction="sum")
        for j, logits in zip(model.columns.drawn, made.logits, strict=True)
    ]
    torch.testing.assert_close(model.evidence_loss(batch, model.conditions(batch)), torch.stack(parts).sum() / 9)
