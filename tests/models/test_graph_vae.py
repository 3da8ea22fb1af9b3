"""The graph VAE on tensors alone: its bound, gradients, what may tell of what, drawing, and what it learns."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spark_synth.models.base import Observed, Outline
from spark_synth.models.batch import ABSENT, FamilyBatch, concat
from spark_synth.models.graph_vae import PHASED_IN, GraphVae
from spark_synth.models.known_prior import KnownPrior
from spark_synth.models.message_passing import edges_of
from spark_synth.models.outputs import cross_entropies
from spark_synth.models.remaining import remaining
from spark_synth.models.spec import GeneratorSpec, SetSpec, VaeSpec
from spark_synth.training.step import held_out_loss, make_optimizer, train_step

CARDS = [3, 4, 5, 2, 9]
FIXED, GIVEN = 2, 3  # the second fixed one tells of the row that a link leads to; the given one is 1 in every row
SPEC = GeneratorSpec(
    cards=CARDS,
    fixed=FIXED,
    given=[GIVEN],
    context_cards=[4, 6, 3],
    summaries={4: [1]},
    linked={2: [1]},
    sets=[SetSpec(2, [3], [[[]] * 3])],
    recurrent=True,
    frequencies=[[1.0] * card for card in CARDS],
    hidden=16,
    head=8,
    dropout=0.0,
    vae=VaeSpec(latent=3, before=2, after=2, tables=[2, 1], targets=[[1, 2]]),
)


class OneClock:
    """The given sub-column is 1."""

    def advance(self, active: int, step: int, codes: np.ndarray) -> np.ndarray:
        return np.ones((active, 1), dtype=np.int64)


def network(**changes: object) -> GraphVae:
    """A small network of every part there is, with weights away from their start."""
    torch.manual_seed(1)
    made = GraphVae(dataclasses.replace(SPEC, **changes))  # type: ignore[arg-type]
    for weight in made.outer.parameters():
        nn.init.normal_(weight, std=0.5)
    return made.eval()


@pytest.fixture
def model() -> GraphVae:
    return network()


@pytest.fixture
def batch() -> FamilyBatch:
    """Families and segments of 5, 3 and 1 rows; one has no owner, some codes are absent."""
    torch.manual_seed(2)
    codes = torch.stack([torch.randint(0, card, (9,)) for card in CARDS], 1)
    codes[:, GIVEN] = 1
    codes[2, 4] = codes[6, 2] = codes[4, 1] = ABSENT
    context = torch.tensor([[1, 5, 2], [ABSENT] * 3, [3, 0, 0]])
    lengths, start, size = torch.tensor([5, 3, 1]), torch.tensor([0, 40, 0]), torch.tensor([5, 900, 1])
    return FamilyBatch(codes, context, lengths, start, size, torch.randint(-1, 3, (9, 2)))


def sample(model: GraphVae, batch: FamilyBatch, seed: int) -> Tensor:
    """New rows in the place of those of `batch`."""
    generator = torch.Generator().manual_seed(seed)
    known = batch.codes[:, :FIXED]
    where = (batch.context, batch.lengths, batch.start, batch.size)
    return model.sample(*where, generator, OneClock(), fixed=known, sets=batch.sets)


def changed(batch: FamilyBatch, row: int, column: int, code: int) -> FamilyBatch:
    codes = batch.codes.clone()
    codes[row, column] = code
    return dataclasses.replace(batch, codes=codes)


def posterior(model: GraphVae, batch: FamilyBatch) -> tuple[Tensor, Tensor]:
    """Mean and log variance (N, L)."""
    return model.posterior(batch, edges_of(model.spec, batch))


def decode(model: GraphVae, batch: FamilyBatch, latent: Tensor) -> Tensor:
    """(N, H), from what is known of the rows."""
    return model.decode(model.known(batch), edges_of(model.spec, batch), latent)


def logits_of(model: GraphVae, batch: FamilyBatch, latent: Tensor) -> dict[int, Tensor]:
    """sub-column -> (N, K)."""
    groups = zip(model.groups, model.code_logits(batch, decode(model, batch, latent)), strict=True)
    return {j: logits[i, :, : CARDS[j]] for group, logits in groups for i, j in enumerate(group)}


def test_the_bound_is_cross_entropies_and_beta_times_the_divergence(batch: FamilyBatch) -> None:
    assert SPEC.vae is not None
    model = network(vae=dataclasses.replace(SPEC.vae, beta=3.0))
    losses, apart = model.elbo_terms(batch)
    assert losses[:FIXED].eq(0).all() and losses[GIVEN] == 0
    torch.testing.assert_close(model.column_losses(batch), losses)  # the noise is the same every time
    torch.testing.assert_close(model.held_out(batch), losses.sum() + 3 * apart)
    torch.testing.assert_close(model.loss(batch), (losses.sum() + 3 * apart) / batch.rows)
    for j, logits in logits_of(model, batch, torch.randn(9, 3)).items():
        there = batch.codes[:, j] != ABSENT
        chances = torch.softmax(logits, 1)[there]
        by_hand = -torch.log(chances[torch.arange(len(chances)), batch.codes[there, j]]).sum()
        found = cross_entropies([[j]], [logits[None]], batch.codes)
        torch.testing.assert_close(found[j], by_hand)
        assert found.count_nonzero() == 1


def test_the_divergence_is_that_of_gaussians(batch: FamilyBatch) -> None:
    """With one component the prior is a Gaussian, and the mean over many draws is known in closed form."""
    model = network()
    torch.manual_seed(3)
    model.prior = KnownPrior(model.prior.shares.in_features, 1, 3)
    nn.init.normal_(model.prior.means.weight, std=0.2)
    many = concat([batch] * 4000)
    found = model.elbo_terms(many)[1].detach() / 4000
    mean, log_variance = posterior(model, batch)
    known = model.heard(model.known(batch), edges_of(SPEC, batch))
    _, means, log_variances = model.prior.parts(known)
    one = torch.distributions.Normal(mean, torch.exp(log_variance / 2))
    other = torch.distributions.Normal(means[:, 0], torch.exp(log_variances[:, 0] / 2))
    expected = torch.distributions.kl_divergence(one, other).sum()
    torch.testing.assert_close(found, expected.detach(), rtol=0.02, atol=0.05)


def test_the_divergence_is_phased_in(model: GraphVae, batch: FamilyBatch) -> None:
    model.train()
    with torch.random.fork_rng():
        torch.manual_seed(4)
        losses, apart = model.elbo_terms(batch)
    shares = []
    for step in (0, PHASED_IN // 2, 2 * PHASED_IN):
        model.steps.fill_(step)
        with torch.random.fork_rng():
            torch.manual_seed(4)
            shares.append(float(((model.loss(batch) * batch.rows - losses.sum()) / apart).detach()))
        assert model.steps == step + 1
    assert shares == pytest.approx([0, 0.5, 1], abs=1e-3)


def test_absent_codes_have_no_loss_and_teach_nothing(model: GraphVae, batch: FamilyBatch) -> None:
    batch.codes[:, 4] = ABSENT
    losses, apart = model.elbo_terms(batch)
    assert losses[4] == 0 and losses[2] > 0
    (losses.sum() + apart).backward()  # type: ignore[no-untyped-call]
    seen = model.seen.row.value.own.grad
    assert model.inner.grad is not None and seen is not None
    assert model.inner.grad[model.place[2]].any() and not model.inner.grad[model.place[4]].any()
    assert seen[: sum(CARDS[:4])].any() and not seen[sum(CARDS[:4]) :].any()


def test_gradients_reach_all_that_is_known_on_both_sides(model: GraphVae, batch: FamilyBatch) -> None:
    model.held_out(batch).backward()  # type: ignore[no-untyped-call]
    for side in (model.seen, model.known):
        tables = [part.value.own for part in (side.row, *side.ancestors, *side.linked, *side.sets)]
        for weight in (*tables, *side.places.parameters()):
            assert weight.grad is not None and weight.grad.any()
    missing = [n for n, p in model.named_parameters() if p.grad is None]
    assert missing == []


def test_a_family_does_not_depend_on_its_batch_mates(model: GraphVae, batch: FamilyBatch) -> None:
    latent = torch.randn(9, 3)
    whole, logits = posterior(model, batch), logits_of(model, batch, latent)
    ends = torch.cumsum(batch.lengths, 0).tolist()
    for i, end in enumerate(ends):
        one, rows = slice(i, i + 1), slice(end - int(batch.lengths[i]), end)
        alone = FamilyBatch(*(x[at] for x, at in zip(_tensors(batch), (rows, one, one, one, one, rows), strict=True)))
        for found, all_of_it in zip(posterior(model, alone), whole, strict=True):
            torch.testing.assert_close(found, all_of_it[rows])
        for j, found in logits_of(model, alone, latent[rows]).items():
            torch.testing.assert_close(found, logits[j][rows])


def _tensors(batch: FamilyBatch) -> tuple[Tensor, ...]:
    assert batch.sets is not None
    return batch.codes, batch.context, batch.lengths, batch.start, batch.size, batch.sets


def test_the_decoder_sees_what_is_known_and_nothing_else(model: GraphVae, batch: FamilyBatch) -> None:
    latent = torch.randn(9, 3)
    before = decode(model, batch, latent)
    hidden = changed(changed(changed(batch, 0, 2, 1), 0, GIVEN, 0), 3, 4, 2)
    assert torch.equal(decode(model, hidden, latent), before)
    known = decode(model, changed(batch, 0, 0, (int(batch.codes[0, 0]) + 1) % 3), latent)
    assert not torch.equal(known[0], before[0]) and torch.equal(known[5:], before[5:])
    assert not torch.equal(posterior(model, changed(batch, 0, GIVEN, 0))[0][0], posterior(model, batch)[0][0])
    assert not torch.equal(decode(model, batch, latent.roll(1, 0))[5:8], before[5:8])


def test_sub_columns_that_say_nothing_are_not_seen(batch: FamilyBatch) -> None:
    model, latent = network(unseen=[0]), torch.randn(9, 3)
    other = changed(batch, 0, 0, (int(batch.codes[0, 0]) + 1) % 3)
    assert torch.equal(decode(model, other, latent), decode(model, batch, latent))
    assert torch.equal(posterior(model, other)[0], posterior(model, batch)[0])


def test_sampling_follows_the_generator(model: GraphVae, batch: FamilyBatch) -> None:
    first, again, other = sample(model, batch, 7), sample(model, batch, 7), sample(model, batch, 8)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(first[:, :FIXED], batch.codes[:, :FIXED]) and first[:, GIVEN].eq(1).all()
    assert all(int(first[:, j].min()) >= 0 and int(first[:, j].max()) < CARDS[j] for j in (2, 3, 4))


def test_the_sampler_sees_the_logits_of_training(model: GraphVae, batch: FamilyBatch) -> None:
    """What a course says of every row is what the decoder says of them all at once, with the same latent numbers."""
    known = model.heard(model.known(batch), edges_of(SPEC, batch))
    wanted = logits_of(model, batch, model.prior.draw(known, torch.Generator().manual_seed(5)))
    course = model.course(_outline(batch), torch.Generator().manual_seed(5))
    first = torch.cumsum(batch.lengths, 0) - batch.lengths
    for step in range(5):
        at = first[batch.lengths > step] + step
        course.begin(batch.codes[at], at, at, at)
        for j, logits in wanted.items():
            torch.testing.assert_close(course.logits(j, batch.codes[at]), logits[at])


def _outline(batch: FamilyBatch) -> Outline:
    return Outline(batch.context, batch.lengths, batch.start, batch.size, batch.codes[:, :FIXED], batch.sets)


def test_sampling_nothing_gives_no_rows(model: GraphVae) -> None:
    none = torch.zeros(0, dtype=torch.int64)
    above, sets = torch.zeros(0, 3, dtype=torch.int64), torch.zeros(0, 2, dtype=torch.int64)
    assert model.sample(above, none, none, none, torch.Generator(), sets=sets).shape == (0, len(CARDS))


def test_a_family_that_was_chosen_goes_on_with_its_own_numbers(model: GraphVae) -> None:
    """Two copies of a family of three rows: once the second stands for both, both have its logits to the end."""
    lengths = torch.tensor([3, 3])
    context = torch.tensor([[1, 2, 0]] * 2)
    batch = FamilyBatch(torch.zeros(6, 5).long(), context, lengths, 0 * lengths, lengths, torch.zeros(6, 2).long())
    course = model.course(_outline(batch), torch.Generator().manual_seed(1))
    for step, alike in enumerate((False, True, True)):
        at = torch.tensor([step, 3 + step])
        course.begin(batch.codes[at], at, at, lengths)
        logits = course.logits(4, batch.codes[at])
        # not equal to the bit: a matrix product may add up a row in another order than the row below it
        assert torch.allclose(logits[0], logits[1], atol=1e-5) == alike
        course.choose(torch.tensor([1, 1]) if step == 0 else torch.tensor([0, 1]))


def test_codes_that_are_known_stay(model: GraphVae, batch: FamilyBatch) -> None:
    known = torch.arange(9) % 5
    observed = Observed({2: known}, torch.zeros(9, dtype=torch.float64))
    where = (batch.context, batch.lengths, batch.start, batch.size, torch.Generator().manual_seed(0), OneClock())
    drawn = model.sample(*where, fixed=batch.codes[:, :FIXED], sets=batch.sets, observed=observed)
    assert torch.equal(drawn[:, 2], known) and observed.weight.ne(0).all()


def test_what_a_family_has_used_up_counts_as_it_does_in_drawing(batch: FamilyBatch) -> None:
    room = {2: [2, 2, 1, 3, 2]}
    latent = torch.randn(9, 3)
    free, bound = logits_of(network(), batch, latent), logits_of(network(room=room), batch, latent)
    torch.testing.assert_close(bound[2], free[2] + remaining(batch, 2, room[2]))
    torch.testing.assert_close(bound[4], free[4])


def test_a_table_by_itself_is_learnt_and_drawn() -> None:
    """Two equal sub-columns of a table without owner, links and order: they are equal in what is drawn."""
    torch.manual_seed(0)
    codes = torch.randint(0, 3, (512, 1)).expand(-1, 2)
    one, nothing = torch.ones(512, dtype=torch.int64), torch.zeros(512, 0, dtype=torch.int64)
    batch = FamilyBatch(codes, nothing, one, 0 * one, one)
    vae = VaeSpec(latent=2, before=1, after=1)
    model = GraphVae(GeneratorSpec(cards=[3, 3], frequencies=[[1.0] * 3] * 2, hidden=32, head=16, dropout=0.0, vae=vae))
    optimizer = make_optimizer(model, 0.01, 100)
    for _ in range(PHASED_IN):
        train_step(model, optimizer, batch)
    drawn = model.sample(nothing, one, 0 * one, one, torch.Generator().manual_seed(1))
    assert (drawn[:, 0] == drawn[:, 1]).float().mean() > 0.9
    assert torch.bincount(drawn[:, 0], minlength=3).min() > 120


def test_what_is_needed_must_be_there() -> None:
    with pytest.raises(ValueError, match="vae"):
        network(vae=None)


def toy(families: int, generator: torch.Generator) -> FamilyBatch:
    """Families of 4 rows with an owner of one code, a fixed sub-column, and two drawn ones:

    p(first = owner's) = 0.85; p(second = first) = 0.8 where the fixed code is 0, 0.2 where it is 1. Codes are 0 and 1.
    """

    def flip(x: Tensor, share: Tensor | float) -> Tensor:
        return torch.where(torch.rand(x.shape, generator=generator) < share, 1 - x, x)

    context = torch.randint(0, 2, (families, 1), generator=generator)
    four = torch.full((families,), 4)
    fixed = torch.randint(0, 2, (4 * families,), generator=generator)
    first = flip(context[:, 0].repeat_interleave(4), 0.15)
    codes = torch.stack([fixed, first, flip(first, 0.2 + 0.6 * fixed)], 1)
    return FamilyBatch(codes, context, four, torch.zeros_like(four), four)


def test_a_known_conditional_distribution_is_learnt() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(1)
    vae = VaeSpec(latent=2, before=2, after=2, tables=[1], targets=[])
    model = GraphVae(
        GeneratorSpec(
            cards=[2, 2, 2], fixed=1, context_cards=[2], frequencies=[[1.0, 1.0]] * 3, hidden=32, head=16, vae=vae
        )
    )
    steps, held = 400, [toy(500, torch.Generator().manual_seed(2))]
    untrained = held_out_loss(model, held)
    optimizer = make_optimizer(model, 0.01, 50)
    slower = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, steps)
    for _ in range(steps):
        train_step(model, optimizer, toy(64, generator))
        slower.step()
    truth = sum(-p * math.log(p) - (1 - p) * math.log(1 - p) for p in (0.15, 0.2))
    found = held_out_loss(model, held)
    assert truth - 0.03 < found < truth + 0.1 < untrained  # it is a bound, on 2,000 rows
    real = toy(4000, generator)
    fixed = real.codes[:, :1]
    drawn = model.sample(real.context, real.lengths, real.start, real.size, generator, fixed=fixed)
    assert torch.equal(drawn[:, :1], fixed)
    same = (drawn[:, 2] == drawn[:, 1]).double()
    shares = {
        "owner": (drawn[:, 1] == real.context[:, 0].repeat_interleave(4)).double().mean(),
        "columns, 0": same[fixed[:, 0] == 0].mean(),
        "columns, 1": same[fixed[:, 0] == 1].mean(),
        "level": drawn[:, 1].double().mean(),
    }
    expected = {"owner": 0.85, "columns, 0": 0.8, "columns, 1": 0.2, "level": 0.5}
    assert {k: float(v) for k, v in shares.items()} == pytest.approx(expected, abs=0.04)
