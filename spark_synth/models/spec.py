"""The shape of a generator: everything needed to build its network, serialisable as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

INDEXED = ("summaries", "linked", "pairs", "room")  # fields by sub-column


@dataclass(frozen=True)
class SetSpec:
    """A set of rows: members at most, codes and features of each of their sub-columns."""

    slots: int
    cards: list[int]
    features: list[list[list[float]]]


@dataclass(frozen=True)
class GanSpec:
    """Of a hierarchical GAN. network: what makes the rows of a family out of noise, "lstm" or "cnn"; noise: numbers of
    each row and of each family; packed: samples that the critic judges together (PacGAN: Lin et al., 2018)."""

    network: str = "lstm"
    noise: int = 32
    packed: int = 4


@dataclass(frozen=True)
class VaeSpec:
    """Of a graph VAE. latent: numbers that a row is made from; beta: weight of their divergence from the prior; before,
    after: layers of message passing around them; tables: sub-columns of each ancestor in the context, the owner first;
    targets: the fixed sub-columns [first, end) that tell of each row that a link leads to."""

    latent: int = 8
    beta: float = 1.0
    before: int = 4
    after: int = 4
    tables: list[int] = field(default_factory=list)
    targets: list[list[int]] = field(default_factory=list)


@dataclass(frozen=True)
class GeneratorSpec:
    """Sub-columns and sizes of one table's generator.

    cards: codes per sub-column, in autoregressive order.
    fixed: leading sub-columns that are known before a row is drawn (its degrees and links, and what they lead to).
    unseen: fixed sub-columns that say nothing of how a row is drawn.
    given: sub-columns that are computed from earlier ones, not drawn (calendar features of the row's time).
    context_cards: codes per context sub-column; empty for a root table.
    summaries: sub-column -> context positions that summarise the same column over the family.
    linked: sub-column -> fixed positions that say the same of the rows that links lead to: their column of that name,
        or what they summarise of this one over all rows with the same link.
    sets: of rows that a row is joined with.
    pairs: sub-column -> columns of a row's surroundings whose codes speak to it through tables of pairs, ascending (see
        models.pairs).
    room: sub-column -> how often the rows of a family may have each of its codes (see models.remaining).
    recurrent: whether rows depend on the rows before them in the family.
    timed: whether these come before them in time, not by their keys.
    features, context_features: for each sub-column what its codes have in common, (K, F) numbers with F of 0 to some;
        empty: nothing (see encoding.codecs and training.associations).
    frequencies: code counts per sub-column in the training data (smoothed into the output biases).
    family: of generators (see models.families); gan, vae: what only these need.
    """

    cards: list[int]
    fixed: int = 0
    unseen: list[int] = field(default_factory=list)
    given: list[int] = field(default_factory=list)
    context_cards: list[int] = field(default_factory=list)
    summaries: dict[int, list[int]] = field(default_factory=dict)
    linked: dict[int, list[int]] = field(default_factory=dict)
    sets: list[SetSpec] = field(default_factory=list)
    pairs: dict[int, list[int]] = field(default_factory=dict)
    room: dict[int, list[int]] = field(default_factory=dict)
    recurrent: bool = False
    timed: bool = False
    frequencies: list[list[float]] = field(default_factory=list)
    features: list[list[list[float]]] = field(default_factory=list)
    context_features: list[list[list[float]]] = field(default_factory=list)
    hidden: int = 256
    head: int = 64
    dropout: float = 0.1
    family: str = "autoregressive"
    gan: GanSpec | None = None
    vae: VaeSpec | None = None

    def code_features(self) -> tuple[list[list[list[float]]], list[list[list[float]]]]:
        """Features of the codes of all sub-columns, and of the context; none each where the spec has none."""
        own = self.features or [[[]] * card for card in self.cards]
        return own, self.context_features or [[[]] * card for card in self.context_cards]

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict."""
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> GeneratorSpec:
        """The spec written by `to_json` (JSON turns the numbers of sub-columns that are keys into text)."""
        paths = {name: {int(k): v for k, v in data.get(name, {}).items()} for name in INDEXED}
        parts: dict[str, Any] = {"sets": [SetSpec(**s) for s in data["sets"]]}
        parts |= {n: made(**data[n]) if data.get(n) else None for n, made in (("gan", GanSpec), ("vae", VaeSpec))}
        return GeneratorSpec(**{**data, **paths, **parts})


def read_spec(folder: Path) -> GeneratorSpec:
    """The shape of a trained network, from its folder."""
    return GeneratorSpec.from_json(json.loads((folder / "spec.json").read_text()))
