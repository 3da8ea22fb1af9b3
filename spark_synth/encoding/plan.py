"""The plan of a table: how each column is coded, which sub-columns the generator sees, what it is conditioned on.

A plan is fitted once from the real data (encoding.fit), stored as JSON beside the weights, and is all that generation
needs to know about the real table. It holds no rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from spark_synth.encoding.codecs import Codec, NumericCodec, codec_from_json, ordered_features
from spark_synth.encoding.edge_plan import Edge, LinkPlan, OwnerPlan
from spark_synth.encoding.join_plan import BlockPlan, CodePlan, SetPlan
from spark_synth.encoding.keys import KeyPlan
from spark_synth.encoding.locales import names_country
from spark_synth.encoding.orphan_plan import OrphanPlan
from spark_synth.encoding.text import TextPlan
from spark_synth.encoding.time_plan import TimePlan

DEGREE, BELOW = "degree:", "below:"  # statistics of what rows of a family carry of their own families
COURSES = "courses"  # folder of the courses of a table's real families, in that of the table
CLUSTER = "cluster"  # of the row itself, by which its family takes the course of a real one (encoding.skeletons)
PLAN_FORMAT = 22  # raised whenever plans of earlier code can no longer be read or mean something else
STRUCTURE = "structure"  # folder of the model that draws what comes before links are matched, in that of its table
SAME = "__same_"  # before the name of a column: whether it equals that of the row at the other end of a foreign key
MAX_SHOWN = 64  # sub-columns of a link's target that a row is conditioned on


class How(StrEnum):
    """How the value of a column is coded."""

    NUMERIC = "numeric"
    CATEGORY = "category"
    DAY = "day"  # an absolute date, in days since 1970-01-01
    MOMENT = "moment"  # an absolute timestamp: day, and second of the day
    SINCE = "since"  # a date or timestamp as the difference to another column of the row
    CLOCK = "clock"  # a time of day written HHMM: minutes after midnight, or after another such column of the row
    NEAR = "near"  # a number as the difference to another number of the row
    FLAG = "flag"  # only whether it is NULL (text)
    SAME = "same"  # whether a column equals one of the row at the other end of a foreign key
    REFERENCE = "reference"  # a foreign key into a reference table: one code per kept key


@dataclass
class ValuePlan:
    """Codes of one column: sub-columns `at`, `at + 1`, ... one per codec."""

    column: str
    how: How
    codecs: list[Codec]
    at: int = -1
    base: str | None = None  # for SINCE, CLOCK, NEAR: the column that is subtracted
    unit: int = 1  # for SINCE: seconds (or days, for dates) per unit
    keys: tuple[str, ...] = ()  # for REFERENCE: the foreign key columns

    @property
    def country(self) -> str | None:
        """The column in which this is the country of a row, by name or code; None where it is something else."""
        text = {How.CATEGORY: (self.column,), How.REFERENCE: self.keys if len(self.keys) == 1 else ()}
        return next((c for c in text.get(self.how, ()) if names_country(c)), None)


@dataclass
class TotalPlan:
    """Sums of a degree over the rows that have the same `columns`, as over the orders of each tenant: up to 4,096 real
    ones, ascending, each as often as the others."""

    columns: list[str]
    sums: list[int]


@dataclass
class DegreePlan:
    """The number of rows of `table` that point at this row by foreign key `edge`.

    histogram: [degree, real rows with it]; total: real child rows with a parent; unique: no parent has two.
    by_code: of a small table the real degrees of the rows of each cluster, ascending.
    totals: for every foreign key that follows from `edge`, the rows that it leads to.
    """

    table: str
    edge: str
    codec: NumericCodec
    histogram: list[tuple[int, int]]
    total: int
    unique: bool
    by_code: list[list[int]] = field(default_factory=list)
    totals: list[TotalPlan] = field(default_factory=list)
    at: int = -1


@dataclass
class SummaryPlan:
    """One statistic of the rows of `table` under foreign key `edge`: `stat` of their value (or time) `column`, or the
    mean of their degree or summary of that number."""

    table: str
    edge: str
    column: str
    stat: str  # mean | spread | share:<category> | first | span | degree:<number> | below:<number> | cluster
    codec: NumericCodec
    at: int = -1


@dataclass
class TablePlan:
    """Everything generation needs to know of one table; see the module text."""

    table: str
    columns: dict[str, str]  # name -> Spark type, in source order
    rows: int
    primary_key: list[str] = field(default_factory=list)
    reference: bool = False
    owner: OwnerPlan | None = None
    links: list[LinkPlan] = field(default_factory=list)
    referenced: list[str] = field(default_factory=list)  # columns that foreign keys of other tables refer to
    keys: list[KeyPlan] = field(default_factory=list)
    texts: list[TextPlan] = field(default_factory=list)
    values: list[ValuePlan] = field(default_factory=list)
    time: TimePlan | None = None
    degrees: list[DegreePlan] = field(default_factory=list)
    code: CodePlan | None = None
    summaries: list[SummaryPlan] = field(default_factory=list)
    course: list[SummaryPlan] = field(default_factory=list)  # the owner's summaries of this table's first time and span
    derived: list[dict[str, Any]] = field(default_factory=list)
    sets: list[SetPlan] = field(default_factory=list)  # edge first: what values are drawn given, beside fixed codes
    blocks: BlockPlan | None = None  # how links are drawn, if not by a network
    unique: list[list[str]] = field(default_factory=list)  # columns with a link whose values never repeat
    clusters: int = 0  # of the rows that own these, at most, if families take the courses of real ones
    context_cards: list[int] = field(default_factory=list)
    cards: list[int] = field(default_factory=list)

    @property
    def matched(self) -> list[LinkPlan]:
        """The links that are matched to rows of another generated table, or of this one."""
        return [] if self.reference else [k for k in self.links if not k.reference]

    @property
    def edges(self) -> list[Edge]:
        """All foreign keys: that of the owner and the links."""
        return [*([self.owner] if self.owner else []), *self.links]

    @property
    def sources(self) -> set[str]:
        """Tables whose rows a row of this one is conditioned on: its owner's, and those of its links."""
        return {k.parent for k in self.matched} | ({self.owner.parent} if self.owner else set())

    @property
    def owned(self) -> list[tuple[str, str]]:
        """(column, column of the owner) of all that rows take from their owner."""
        return self.owner.taken if self.owner else []

    def once_in_family(self, columns: Collection[str]) -> bool:
        """Whether no two rows of one owner have the same values of these columns."""
        own, owner = set(columns), set(self.owner.columns) if self.owner else set[str]()
        return bool(owner) and any(own <= set(u) <= own | owner for u in self.unique)

    @property
    def early(self) -> list[str]:
        """Columns that rows take from those they link to, as far as these exist when the values of a row are drawn."""
        return [c for k in self.matched if not k.late for c, _ in k.taken]

    def degree_of(self, table: str, edge: str) -> int:
        """Which degree counts the rows of `table` under its foreign key `edge` to this one."""
        return next(i for i, d in enumerate(self.degrees) if (d.table, d.edge) == (table, edge))

    def exchangeable(self, unique: Collection[str]) -> list[LinkPlan]:
        """The matched links among columns that may occur once, but for those that other links must agree with."""
        bound = {(k.name, c) for k in self.matched for c, _ in k.within}
        inside = [k for k in self.matched if set(k.columns) <= set(unique)]
        return [k for k in inside if not any(c in k.columns and name != k.name for name, c in bound)]

    @property
    def drawn(self) -> dict[str, str]:
        """Column -> column of drawn rows, of all that rows take from their owner and from those they link to."""
        return {c: f"l{i}" for i, c in enumerate(self.early)} | {c: f"o{i}" for i, (c, _) in enumerate(self.owned)}

    @property
    def structure(self) -> int:
        """Leading sub-columns that are drawn before links, from here or to here, are matched; 0 without such links."""
        own = self.code.at + 1 if self.sets and self.code else 0
        return max((k.at + 1 for k in self.matched), default=own)

    @property
    def even(self) -> list[int]:
        """Sub-columns whose first code says that a link leads nowhere."""
        return [k.level_at if k.levels else k.at for k in self.matched if k.levels or k.nullable]

    @property
    def fixed(self) -> int:
        """Leading sub-columns that are known when the values of a row are drawn: structure, and what links lead to."""
        return self.structure + sum(len(k.carried) for k in self.matched)

    def number(self, plans: Mapping[str, TablePlan]) -> None:
        """Give every sub-column its place, in the order of the chain rule: structure (degrees, own code, codes of link
        targets), what links lead to, time, values, summaries. Targets of links that are not late must be numbered.
        """
        cards: list[int] = []

        def place(*more: int) -> int:
            cards.extend(more)
            return len(cards) - len(more)

        for degree in self.degrees:
            degree.at = place(degree.codec.card)
        if self.code:
            self.code.at = place(self.code.clusters)
        for link in self.matched:
            if link.levels:
                link.level_at = place(link.levels + bool(link.orphans))
        for link in self.matched:
            link.at = place(link.codes)
        for link in self.matched:
            target = plans[link.parent]
            link.carried = () if link.late else target.shown
            link.carried_at = place(*(target.cards[i] for i in link.carried))
        if self.time:
            self.time.first_at = place(self.time.first.card)
            self.time.delta_at = place(self.time.delta.card)
            if self.time.clock:
                self.time.clock_at = place(self.time.clock.card)
            self.time.given_at = place(*self.time.given_cards)
        for value in self.values:
            value.at = place(*(c.card for c in value.codecs))
        for summary in self.summaries:
            summary.at = place(summary.codec.card)
        if len(cards) == self.fixed:  # a table of keys alone: a constant sub-column, so that there is one to draw
            cards.append(1)
        self.cards = cards

    @property
    def shown(self) -> tuple[int, ...]:
        """Sub-columns that rows with a link to this one are conditioned on: up to MAX_SHOWN, without its code."""
        passed = {self.code.at} if self.code else set[int]()
        passed |= {k.carried_at + i for k in self.matched for i in range(len(k.carried))}
        return tuple(i for i in range(len(self.cards)) if i not in passed)[:MAX_SHOWN]

    @property
    def following(self) -> list[int]:
        """The sub-columns that `code.follows` tells."""
        levels = [at for k in self.matched if k.levels for at in (k.level_at, k.at)]
        return [d.at for d in self.degrees] + levels + [s.at for s in self.summaries]

    def features(self, plans: Mapping[str, TablePlan]) -> list[list[list[float]]]:
        """For each sub-column, the features (K, F) of its codes that follow from their order or place."""
        out = [d.codec.features() for d in self.degrees]
        out += [np.array(self.code.places)] if self.code else []
        levels = [(k, ordered_features(np.linspace(0, 1, k.levels))) for k in self.matched if k.levels]
        out += [np.pad(f, ((0, bool(k.orphans)), (0, 0))) for k, f in levels]
        for link in self.matched:
            code = plans[link.parent].code
            assert code is not None
            out.append(np.pad(np.array(code.places), ((int(link.nullable), bool(link.orphans)), (0, 0))))
        for link in self.matched:
            above = plans[link.parent].features(plans) if link.carried else []
            out += [np.array(above[i]) for i in link.carried]
        if self.time:
            cells = np.pad(ordered_features(np.linspace(0, 1, self.time.cells + 1)), ((1, 0), (0, 0)))
            drawn = [self.time.first, self.time.delta, *([self.time.clock] if self.time.clock else [])]
            out += [*(c.features() for c in drawn), cells]
            out += [np.zeros((card, 0)) for card in self.time.given_cards[1:]]
        out += [c.features() for v in self.values for c in v.codecs]
        out += [s.codec.features() for s in self.summaries]
        return [f.tolist() for f in out] + [[[]]] * (len(self.cards) - len(out))

    @property
    def given(self) -> list[int]:
        """Sub-columns computed from the row's time."""
        return list(range(self.time.given_at, self.time.given_at + len(self.time.given_cards))) if self.time else []

    def column_at(self, column: str) -> int | None:
        """The first sub-column of a value or time column."""
        if self.time and column == self.time.column:
            return self.time.first_at
        return next((v.at for v in self.values if v.column == column), None)

    def named(self, at: Collection[int]) -> list[str]:
        """What drawn sub-columns belong to, for people: columns, numbers of rows, summaries of the rows below."""
        parts = {v.column: range(v.at, v.at + len(v.codecs)) for v in self.values}
        if self.time:
            parts[self.time.column] = range(self.time.first_at, self.time.given_at + len(self.time.given_cards))
        parts |= {f"number of {d.table}": range(d.at, d.at + 1) for d in self.degrees}
        parts |= {f"{s.stat} of {s.column} of {s.table}": range(s.at, s.at + 1) for s in self.summaries}
        return [name for name, of in parts.items() if any(j in of for j in at)]

    def value(self, column: str) -> ValuePlan | None:
        """The ValuePlan of a column, if it has one."""
        return next((v for v in self.values if v.column == column), None)

    def to_json(self) -> dict[str, Any]:
        """JSON-able form."""
        return _plain(asdict(self), self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> TablePlan:
        """The plan written by `to_json`."""
        d = dict(data)
        d["owner"] = OwnerPlan(**_tuples(d["owner"])) if d["owner"] else None
        d["links"] = [LinkPlan(**_tuples(x)) for x in d["links"]]
        d["keys"] = [KeyPlan(**x) for x in d["keys"]]
        d["texts"] = [TextPlan(**x) for x in d["texts"]]
        d["values"] = [ValuePlan(**_value(x)) for x in d["values"]]
        d["time"] = TimePlan(**_codecs(d["time"], "first", "delta", "clock")) if d["time"] else None
        d["sets"] = [SetPlan(**{**x, "carried": tuple(x["carried"])}) for x in d["sets"]]
        d["blocks"] = BlockPlan(**d["blocks"]) if d["blocks"] else None
        d["code"] = CodePlan(**d["code"]) if d["code"] else None
        d["degrees"] = [DegreePlan(**_totals(_codecs(x, "codec"))) for x in d["degrees"]]
        d["course"] = [SummaryPlan(**_codecs(x, "codec")) for x in d["course"]]
        d["summaries"] = [SummaryPlan(**_codecs(x, "codec")) for x in d["summaries"]]
        return TablePlan(**d)


def _plain(data: dict[str, Any], plan: TablePlan) -> dict[str, Any]:
    """asdict() with each value codec in its own tagged form (asdict forgets which class a codec was)."""
    for item, value in zip(data["values"], plan.values, strict=True):
        item["codecs"] = [c.to_json() for c in value.codecs]
    return data


def _value(data: dict[str, Any]) -> dict[str, Any]:
    codecs = [codec_from_json(c) for c in data["codecs"]]
    return {**data, "how": How(data["how"]), "codecs": codecs, "keys": tuple(data["keys"])}


def _codecs(data: dict[str, Any], *names: str) -> dict[str, Any]:
    return {**data, **{n: NumericCodec(**data[n]) for n in names if data[n]}}


def _totals(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "totals": [TotalPlan(**t) for t in data["totals"]]}


def _tuples(data: dict[str, Any]) -> dict[str, Any]:
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    plain["orphans"] = OrphanPlan(**data["orphans"]) if data["orphans"] else None
    return plain | {k: tuple((c, p) for c, p in plain[k]) for k in ("copies", "onward", "within") if k in plain}
