"""The family of graph VAEs: rows are made from latent numbers of their own and from messages with what is around them.

After Mami et al., "Generating Realistic Synthetic Relational Data through Graph Variational Autoencoders" (2022, arXiv
2211.16889): rows are vertices, foreign keys edges; messages pass before and after a VAE at each vertex. Here each table
has a network of its own, trained on its families given what is known of the rows above them and at the ends of their
links (a conditional VAE: Sohn et al., NeurIPS 2015). Only the family's own rows have latent numbers z_t:

    p(rows | known) = int prod_t p(z_t | known) prod_t prod_j p(x_tj | decoder(z, known)) dz,
    q(z | rows, known) = prod_t N(z_t; mean_t, diag(variance_t)), mean and variance from the encoder's messages.

The prior is a mixture that is learnt with the rest and starts at about N(0, I), which the paper keeps (see
models.known_prior); what it knows of a row is one round of messages from what is next to it.

The loss is the negative ELBO, its divergence times beta (Higgins et al., ICLR 2017), which is phased in over the first
steps: a decoder that does not yet use its latent numbers would let them go to the prior for good (Bowman et al., 2016).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spark_synth.models.base import Course, Outline
from spark_synth.models.batch import ABSENT, FamilyBatch
from spark_synth.models.graph_course import GraphCourse
from spark_synth.models.known_prior import KnownPrior, log_normal
from spark_synth.models.message_passing import ROW, Edges, MessagePassing, edges_of
from spark_synth.models.network import GeneratorNetwork
from spark_synth.models.outputs import (
    code_outputs,
    cross_entropies,
    direct_paths,
    drawn_columns,
    frequency_biases,
    width_groups,
    with_paths,
)
from spark_synth.models.remaining import remaining
from spark_synth.models.shared import CodeTable, code_index, code_offsets, places
from spark_synth.models.spec import GeneratorSpec
from spark_synth.models.vertices import Vertices

PHASED_IN = 300  # steps until the divergence counts in full
COMPONENTS = 16  # of the prior
LOG_VARIANCES = (-10.0, 4.0)


class GraphVae(GeneratorNetwork):
    """The network. All tensors on CPU or one device; float32. States of vertices are half as wide as the hidden layer
    behind them: layers of messages are most of the work."""

    offsets: Tensor
    context_offsets: Tensor
    steps: Tensor

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__(spec)
        if spec.vae is None:
            raise ValueError("a graph VAE needs spec.vae")
        self.vae, self.groups = spec.vae, width_groups(spec)
        self.place = {j: i for i, j in enumerate(drawn_columns(spec))}  # of a sub-column's layer
        width, hidden, head, latent = max(8, spec.hidden // 2), spec.hidden, spec.head, spec.vae.latent
        self.register_buffer("offsets", code_offsets(spec.cards), persistent=False)
        self.register_buffer("context_offsets", code_offsets(spec.context_cards), persistent=False)
        self.register_buffer("steps", torch.zeros(()))
        features, above = spec.code_features()
        self.seen = Vertices(spec, len(spec.cards), width)
        self.encoding = MessagePassing(spec, spec.vae.before, width)
        self.posterior_of = nn.Linear(2 * width, 2 * latent)
        self.known = Vertices(spec, spec.fixed, width)
        self.from_latent = nn.Linear(latent, width)
        self.decoding = MessagePassing(spec, spec.vae.after, width)
        self.decoded = nn.Linear(2 * width, hidden)
        if spec.summaries:
            self.summary = CodeTable(above, head, 0.05)
        if spec.linked:
            self.linked = CodeTable(features, head, 0.05)
        self.inner = nn.Parameter(torch.randn(len(self.place), hidden, head) * math.sqrt(2 / hidden))
        self.inner_bias = nn.Parameter(torch.full((len(self.place), 1, head), 0.1))
        self.outer = code_outputs(spec, self.groups, features)
        self.outer_bias = frequency_biases(spec, self.groups)
        self.dropout = nn.Dropout(spec.dropout)
        self.hearing = MessagePassing(spec, 1, width)
        self.prior = KnownPrior(2 * width, COMPONENTS, latent)

    # -- training ---------------------------------------------------------------------------------------------

    def loss(self, batch: FamilyBatch) -> Tensor:
        """Scalar: the negative ELBO as a mean over rows, the divergence phased in while training."""
        losses, divergence = self.elbo_terms(batch)
        beta: Tensor | float = self.vae.beta
        if self.training:
            beta = beta * (self.steps / PHASED_IN).clamp(max=1)
            self.steps += 1
        return (losses.sum() + beta * divergence) / batch.rows

    def held_out(self, batch: FamilyBatch) -> Tensor:
        """Scalar: the negative ELBO summed over rows; in eval mode with the same noise every time.

        At the mean of the posterior, without noise, it would be no bound: with N(0, I) as the prior that was 7.9 nats a
        row early in training where the default family needs 8.3 in the end, and hardly moved while samples got better.
        """
        losses, divergence = self.elbo_terms(batch)
        return losses.sum() + self.vae.beta * divergence

    def column_losses(self, batch: FamilyBatch) -> Tensor:
        """(C,): how ill the drawn sub-columns are made again from the posterior, in nats summed over rows."""
        return self.elbo_terms(batch)[0]

    def elbo_terms(self, batch: FamilyBatch) -> tuple[Tensor, Tensor]:
        """Cross entropies (C,) and divergence () of posterior and prior, both summed over rows."""
        edges = edges_of(self.spec, batch)
        mean, log_variance = self.posterior(batch, edges)
        latent = mean + self._noise(mean) * torch.exp(log_variance / 2)
        known = self.known(batch)
        apart = log_normal(latent, mean, log_variance) - self.prior.log_density(self.heard(known, edges), latent)
        logits = self.code_logits(batch, self.decode(known, edges, latent))
        return cross_entropies(self.groups, logits, batch.codes), apart.sum()

    def _noise(self, like: Tensor) -> Tensor:
        if self.training:
            return torch.randn_like(like)
        same = torch.Generator(like.device).manual_seed(0)
        return torch.randn(like.shape, generator=same, dtype=like.dtype, device=like.device)

    def posterior(self, batch: FamilyBatch, edges: Mapping[str, Edges]) -> tuple[Tensor, Tensor]:
        """Mean and log variance (N, L) of q(z | rows, known)."""
        states = self.seen(batch)
        rows = self.encoding(states, edges)
        mean, log_variance = self.posterior_of(torch.cat([rows, states[ROW]], 1)).chunk(2, 1)
        return mean, log_variance.clamp(*LOG_VARIANCES)

    def heard(self, known: Mapping[str, Tensor], edges: Mapping[str, Edges]) -> Tensor:
        """(N, 2 W): what is known of each row, and of whatever is next to it, by the first states of all vertices."""
        return torch.cat([self.hearing(known, edges), known[ROW]], 1)

    def decode(self, known: Mapping[str, Tensor], edges: Mapping[str, Edges], latent: Tensor) -> Tensor:
        """(N, H): what all output layers of a row see, by what is known and the latent numbers (N, L) of all rows."""
        states = {**known, ROW: known[ROW] + self.from_latent(latent)}
        rows = self.decoding(states, edges)
        return F.relu(self.decoded(torch.cat([rows, states[ROW]], 1)))

    def code_logits(self, batch: FamilyBatch, decoded: Tensor) -> Iterator[Tensor]:
        """For each group of sub-columns: logits (G, N, K) of every row by what was decoded (N, H). Of the rows' codes
        only fixed ones are looked at, and how often earlier rows had those with `room`."""
        hidden = torch.baddbmm(self.inner_bias, decoded.expand(len(self.inner), -1, -1), self.inner)
        family = batch.family()
        of_family = {j: path.index_select(0, family) for j, path in self.summary_paths(batch.context).items()}
        for paths in (of_family, self.linked_paths(batch.codes)):
            hidden = with_paths(hidden, {self.place[j]: path for j, path in paths.items()})
        # One mask for all sub-columns of a row, as in models.autoregressive.
        hidden = F.relu(hidden) * self.dropout(hidden.new_ones(hidden.shape[1:]))
        for columns, output, bias in zip(self.groups, self.outer, self.outer_bias, strict=True):
            at = places(tuple(self.place[j] for j in columns), hidden.device)
            logits = torch.baddbmm(bias, hidden.index_select(0, at), output())
            for i, j in enumerate(columns):
                if j in self.spec.room:
                    logits[i, :, : self.spec.cards[j]] += remaining(batch, j, self.spec.room[j])
            yield logits

    def drawn_logits(self, batch: FamilyBatch) -> Iterator[Tensor]:
        """As `code_logits`, from latent numbers of the prior, the same every time: as rows come out when drawn."""
        edges, known = edges_of(self.spec, batch), self.known(batch)
        latent = self.prior.draw(self.heard(known, edges), torch.Generator().manual_seed(0))
        return self.code_logits(batch, self.decode(known, edges, latent))

    def summary_paths(self, context: Tensor) -> dict[int, Tensor]:
        """sub-column -> (B, head): what the family's own summary adds to that sub-column's layer."""
        sources = {j: at for j, at in self.spec.summaries.items() if j in self.place}
        if not sources:
            return {}
        return direct_paths(self.summary(), code_index(context, self.context_offsets), sources)

    def linked_paths(self, codes: Tensor) -> dict[int, Tensor]:
        """sub-column -> (N, head): what the summaries behind a row's links add; codes (N, C), the fixed ones known."""
        sources = {j: at for j, at in self.spec.linked.items() if j in self.place}
        if not sources:
            return {}
        return direct_paths(self.linked(), code_index(codes, self.offsets), sources)

    # -- sampling ---------------------------------------------------------------------------------------------

    def course(self, outline: Outline, generator: torch.Generator) -> Course:
        """See GeneratorNetwork. For all rows z is drawn, and what their output layers see is decoded, at once."""
        lengths = outline.lengths
        codes = lengths.new_full((int(lengths.sum()), len(self.spec.cards)), ABSENT)
        if outline.fixed is not None:
            codes[:, : self.spec.fixed] = outline.fixed
        batch = FamilyBatch(codes, outline.context, lengths, outline.start, outline.size, outline.sets)
        edges, known = edges_of(self.spec, batch), self.known(batch)
        latent = self.prior.draw(self.heard(known, edges), generator)
        return GraphCourse(self, batch, self.decode(known, edges, latent))
