"""Ties between two columns that a trained network still misses, found by score tests and fitted as tables of pairs.

A network that stops when held-out families get no more likely has shrunk what few rows show. Its residuals say where:
for each drawn sub-column, the source whose codes go with the residuals most clearly (Rao's score test) gets a table of
log-linear interactions, all tables of the sub-column are fitted again with the network's logits as offsets, and so on
(forward selection) until the held-out families gain nothing any more. This is done once with all of a source that is
fairly clear and once with what is beyond doubt, and the held-out families choose. Pairs that cannot be
(training.determined) are ruled out before.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional as F

from spark_synth.models.autoregressive import Autoregressive
from spark_synth.models.batch import ABSENT, FamilyBatch, concat
from spark_synth.models.pairs import Surroundings
from spark_synth.models.spec import GeneratorSpec
from spark_synth.training.determined import forbidden_pairs

MAX_ROWS = 10_000  # training rows, and held-out rows, that are looked at: beyond, a network misses little
MAX_CELLS = 40_000_000  # rows x features of their codes
COMMONEST = 64  # codes of a column that are told apart
SUPPORT = 5  # families, or rows, that a code needs to be told apart
ORDERED = 2  # of the features that say where a code is in its column's order
CLEAR = 3.0  # standard errors at which a source is taken
FAIR, CERTAIN = 2.0, 5.0  # and with it its other moments
RIDGE = 3.0  # penalty of weights; the frequencies stay, which are known from more rows than these (models.marginals)
FLAT = 1e-3  # spread below which a feature says nothing
ROUNDS, WAIT = 12, 2  # sources per sub-column at most; rounds without gain on held-out families
STEPS = 12  # of L-BFGS a round
SMALLEST = 20  # rows


def with_ties(
    model: Autoregressive, ordered: list[list[list[float]]], seen: list[FamilyBatch], held: list[FamilyBatch]
) -> Autoregressive:
    """The model with tables of pairs fitted to `seen`, training families, as far as `held`, held-out ones, bear out.

    ordered: for each sub-column and then each context column, features (K, F) of the codes that follow from their
    order.
    """
    spec = model.spec
    seen = _first_rows(seen, MAX_ROWS)
    bases = _bases(spec, ordered, seen)
    cells = sum(b.shape[1] for b in bases) + sum(spec.cards)
    rows = min(MAX_ROWS, MAX_CELLS // cells)
    fitted, checked = (_Rows(model, _first_rows(part, rows), bases) for part in (seen, held))
    codes = torch.cat([fitted.codes, checked.codes])
    family = torch.cat([fitted.family, checked.family + len(fitted.family)])
    tables: dict[int, dict[int, Tensor]] = {}
    for j in fitted.logits:
        never = _never(j, spec, codes, family)
        for part in (fitted, checked):
            part.add(j, never)
        tables[j] = _sums(_ties_of(j, spec, fitted, checked), never)
    tables = {j: of for j, of in tables.items() if of}
    tied = Autoregressive(dataclasses.replace(spec, pairs={j: list(of) for j, of in tables.items()}))
    tied.to(fitted.codes.device)
    stacked = {f"pairs.tables.{j}": torch.cat(list(of.values())) for j, of in tables.items()}
    tied.load_state_dict(model.state_dict() | stacked)
    return tied


class _Rows:
    """Some families as numbers: features (N, A) of the codes of all sources, and the network's logits (N, K).

    owner: int64 (A,), the source of each feature; codes: int64 (N, S).
    """

    def __init__(self, model: Autoregressive, batches: list[FamilyBatch], bases: list[Tensor]) -> None:
        self.bases, self.places = bases, len(model.spec.cards)
        around = [Surroundings.of(b) for b in batches]
        self.codes = torch.cat([a.take(list(range(len(bases)))) for a in around])
        self.features = torch.cat([b[self.codes[:, i]] for i, b in enumerate(bases)], 1)
        widths = torch.tensor([b.shape[1] for b in bases])
        self.owner = torch.repeat_interleave(torch.arange(len(bases)), widths).to(self.codes.device)
        sizes = torch.cat([b.lengths for b in batches])
        self.family = torch.repeat_interleave(torch.arange(len(sizes), device=sizes.device), sizes)
        self.above = (self.owner >= self.places) & (self.owner < self.places + len(model.spec.context_cards))
        first = torch.cumsum(sizes, 0) - sizes
        self.squares, self.squares_above = self.features**2, self.features[first][:, self.above] ** 2
        self.logits = _logits(model, batches)

    def shifted(self, j: int, weights: Tensor) -> Tensor:
        """(N, K): logits with the terms weights (A, F) between features of sources and features of codes of j."""
        live = weights.any(1)
        terms: Tensor = self.features[:, live] @ weights[live]
        return self.logits[j] + terms @ self.bases[j][:-1].T

    def add(self, j: int, tables: dict[int, Tensor]) -> None:
        """Count tables (K of a source, K of j) by source as part of what the network says."""
        for i, table in tables.items():
            self.logits[j] = self.logits[j] + F.pad(table, (0, 0, 0, 1))[self.codes[:, i]]

    def loss(self, j: int, logits: Tensor) -> Tensor:
        """Negative log likelihood of sub-column j, summed over rows."""
        return F.cross_entropy(logits, self.codes[:, j], ignore_index=ABSENT, reduction="sum")

    def clearness(self, j: int, logits: Tensor) -> Tensor:
        """(A, F): score over standard error of each product of a source's feature and one of the codes of j.

        The variance is the mean of the expected one and of the observed one; rows with the same context count as one.
        """
        basis, present = self.bases[j][:-1], (self.codes[:, j] != ABSENT).float()[:, None]
        share = torch.softmax(logits, 1)
        mean = share @ basis
        residual = (self.bases[j][self.codes[:, j]] - mean) * present
        variance = (share @ basis**2 - mean**2).clamp(min=0) * present
        noise = self.squares.T @ (residual**2 + variance)
        noise[self.above] = self.squares_above.T @ (self._by_family(residual) ** 2 + self._by_family(variance))
        return (self.features.T @ residual).abs() / (noise / 2).sqrt().clamp(min=1e-6)

    def fit(self, j: int, chosen: Tensor, weights: Tensor) -> Tensor:
        """Weights (A, F), where `chosen`, that maximise the penalised likelihood; from those given."""
        live = chosen.any(1)
        features, mask, basis = self.features[:, live], chosen[live].float(), self.bases[j][:-1]
        inner = weights[live].requires_grad_()
        optimizer = torch.optim.LBFGS([inner], max_iter=STEPS, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimizer.zero_grad()
            terms = features @ (inner * mask) @ basis.T
            loss = self.loss(j, self.logits[j] + terms) + RIDGE / 2 * (inner * mask).square().sum()
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        optimizer.step(closure)  # type: ignore[no-untyped-call]
        out = torch.zeros_like(weights)
        out[live] = inner.detach() * mask
        return out

    def _by_family(self, x: Tensor) -> Tensor:
        return x.new_zeros(int(self.family[-1]) + 1, x.shape[1]).index_add(0, self.family, x)


def _never(j: int, spec: GeneratorSpec, codes: Tensor, family: Tensor) -> dict[int, Tensor]:
    """By source, among the row's own sub-columns before j: which pairs with codes of j cannot be."""
    sources = [i for i in range(j) if i not in spec.unseen]
    tried = len(spec.cards) * (len(spec.cards) - 1) // 2
    out = {}
    for i in sources:
        table = forbidden_pairs(codes[:, i], codes[:, j], family, (spec.cards[i], spec.cards[j]), tried)
        if table is not None:
            out[i] = table
    return out


def _ties_of(j: int, spec: GeneratorSpec, seen: _Rows, held: _Rows) -> dict[int, Tensor]:
    """By source of sub-column j a table (K of the source, K of j); none where nothing helps the held-out families."""
    found = []
    if (seen.codes[:, j] != ABSENT).sum() >= SMALLEST:
        found = [f for f in (_selected(j, spec, seen, held, least) for least in (FAIR, CERTAIN)) if f]
    return _as_tables(j, seen, min(found, key=lambda f: f[0])[1]) if found else {}


def _selected(j: int, spec: GeneratorSpec, seen: _Rows, held: _Rows, least: float) -> tuple[float, Tensor] | None:
    """Forward selection of sources: the loss of the held-out families and weights, None where they gain nothing.

    least: standard errors that a moment of a chosen source needs, if it is not the clearest one.
    """
    barred = [*spec.unseen, *range(j, len(spec.cards))]
    allowed = ~torch.isin(seen.owner, torch.tensor(barred, device=seen.owner.device))
    weights = seen.features.new_zeros(len(seen.owner), seen.bases[j].shape[1])
    chosen = torch.zeros_like(weights, dtype=torch.bool)
    best, lowest, waited = None, float(held.loss(j, held.logits[j])), 0
    for _ in range(ROUNDS):
        clear = torch.where(allowed[:, None] & ~chosen, seen.clearness(j, seen.shifted(j, weights)), 0.0)
        if not clear.numel() or clear.max() < CLEAR:
            break
        source = seen.owner[clear.max(1).values.argmax()]
        chosen |= (clear >= min(least, float(clear.max()))) & (seen.owner == source)[:, None]
        weights = seen.fit(j, chosen, weights)
        loss = float(held.loss(j, held.shifted(j, weights)))
        if loss < lowest:
            best, lowest, waited = (loss, weights), loss, 0
        elif (waited := waited + 1) == WAIT:
            break
    return best


def _as_tables(j: int, rows: _Rows, weights: Tensor) -> dict[int, Tensor]:
    sources = sorted(set(rows.owner[weights.any(1)].tolist()))
    return {i: rows.bases[i][:-1] @ weights[rows.owner == i] @ rows.bases[j][:-1].T for i in sources}


def _bases(spec: GeneratorSpec, ordered: list[list[list[float]]], batches: list[FamilyBatch]) -> list[Tensor]:
    """For each source a float32 (K + 1, F): which of the commonest codes it is and where in its order, each scaled to
    mean 0 and variance 1; zero for ABSENT, the last row.
    """
    data = concat(batches)
    cards = spec.cards + spec.context_cards
    columns = [*data.codes.T, *data.context.T]
    bases = [_basis(codes, card, order) for codes, card, order in zip(columns, cards, ordered, strict=True)]
    return bases + (bases[: len(spec.cards)] if spec.timed else [])


def _basis(codes: Tensor, card: int, order: list[list[float]]) -> Tensor:
    counts = torch.bincount(codes[codes != ABSENT], minlength=card).float()
    share = counts / counts.sum().clamp(min=1)
    commonest = torch.argsort(counts, descending=True, stable=True)[:COMMONEST]
    told = commonest[(counts[commonest] >= SUPPORT) & (counts.sum() - counts[commonest] >= SUPPORT)]
    places = torch.tensor(order, dtype=torch.float32, device=codes.device).reshape(card, -1)[:, :ORDERED]
    raw = torch.cat([F.one_hot(told, card).T.float(), places], 1)
    centred = raw - share @ raw
    spread = (share @ centred**2).sqrt()
    return F.pad((centred / spread.clamp(min=FLAT))[:, spread > FLAT], (0, 0, 0, 1))


def _logits(model: Autoregressive, batches: list[FamilyBatch]) -> dict[int, Tensor]:
    """Of every drawn sub-column (N, K)."""
    parts: dict[int, list[Tensor]] = {j: [] for group in model.groups for j in group}
    model.eval()
    with torch.no_grad():
        for batch in batches:
            for group, logits in zip(model.groups, model.code_logits(batch), strict=True):
                for i, j in enumerate(group):
                    parts[j].append(logits[i, :, : model.spec.cards[j]])
    return {j: torch.cat(found) for j, found in parts.items()}


def _first_rows(batches: list[FamilyBatch], rows: int) -> list[FamilyBatch]:
    """The first batches with at least so many rows together, or all."""
    out, total = [], 0
    for batch in batches:
        if total >= rows:
            break
        out.append(batch)
        total += batch.rows
    return out


def _sums(a: dict[int, Tensor], b: dict[int, Tensor]) -> dict[int, Tensor]:
    return {i: torch.stack([part[i] for part in (a, b) if i in part]).sum(0) for i in sorted(a.keys() | b.keys())}
