"""The plan of a table: how each column is coded, which sub-columns the generator sees, what it is conditioned on.

A plan is fitted once from the real data (encoding.fit), stored as JSON beside the weights, and is all that generation
needs to know about the real table. It holds no rows.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from spark_synth.encoding.codecs import Codec, NumericCodec, codec_from_json, ordered_features
from spark_synth.encoding.keys import KeyPlan
from spark_synth.encoding.text import TextPlan

PLAN_FORMAT = 5  # raised whenever plans of earlier code can no longer be read or mean something else


class How(StrEnum):
    """How the value of a column is coded."""

    NUMERIC = "numeric"
    CATEGORY = "category"
    DAY = "day"  # an absolute date, in days since 1970-01-01
    MOMENT = "moment"  # an absolute timestamp: day, and second of the day
    SINCE = "since"  # a date or timestamp as the difference to another column of the row
    CLOCK = "clock"  # a time of day written HHMM: minutes after midnight, or after another such column of the row
    NEAR = "near"  # a number as the difference to another number of the row
    FLAG = "flag"  # only whether it is NULL (text, and links that are matched later)
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


@dataclass
class TimePlan:
    """The column that orders the rows of a family, as whole units since its origin.

    unit: seconds per unit for timestamps, 1 for dates (days) and whole numbers.
    base: column of the owner row that the first row's time is counted from, None for absolute.
    base_fill: stands in for the base where the owner has none, or where there is no owner.
    strict: no two rows of a family share a time.
    clock, per_day: where the time of day has a pattern (shop hours), `first` and `delta` count days of `per_day` units
        and `clock` codes the unit of the day; else None and 0.
    low, last: the first and the last real time; no generated row is later.
    step, cells: the time axis cut into `cells` cells of `step` units from `low`, an input of the generator.
    first_at, delta_at, given_at: sub-columns.
    """

    column: str
    type: str
    unit: int
    base: str | None
    strict: bool
    low: int
    last: int
    step: int
    cells: int
    first: NumericCodec
    delta: NumericCodec
    profile: list[float] = field(default_factory=list)
    first_at: int = -1
    delta_at: int = -1
    given_at: int = -1
    base_fill: int = 0
    clock: NumericCodec | None = None
    clock_at: int = -1
    per_day: int = 0

    @property
    def counted(self) -> int:
        """Units of time in which `first` and `delta` count."""
        return self.per_day or 1

    @property
    def calendar(self) -> list[str]:
        """Calendar inputs beside the cell."""
        if self.type == "date":
            return ["weekday", "month"]
        return ["hour", "weekday", "month"] if self.type.startswith("timestamp") else []

    @property
    def given_cards(self) -> list[int]:
        """Codes per given sub-column."""
        return [self.cells + 2, *({"hour": 24, "weekday": 7, "month": 12}[c] for c in self.calendar)]

    def features(self, times: np.ndarray) -> np.ndarray:
        """Given codes int64 (n, G) of times int64 (n,)."""
        cell = np.clip((times - self.low) // self.step, -1, self.cells) + 1
        if not self.calendar:
            return cell[:, None]
        seconds = times * (86400 if self.type == "date" else self.unit)
        days = seconds // 86400
        month = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
        parts = {"hour": seconds // 3600 % 24, "weekday": (days + 3) % 7, "month": month}
        return np.stack([cell, *(parts[c] for c in self.calendar)], axis=1)


@dataclass
class DegreePlan:
    """The number of rows of `table` that point at this row by foreign key `edge`.

    histogram: [degree, real rows with it]; total: real child rows with a parent; unique: no parent has two.
    """

    table: str
    edge: str
    codec: NumericCodec
    histogram: list[tuple[int, int]]
    total: int
    unique: bool
    at: int = -1


@dataclass
class SummaryPlan:
    """One statistic of the owned family in `table`: `stat` of the child's value `column` (or of its time)."""

    table: str
    column: str
    stat: str  # mean | spread | share:<category> | first | span
    codec: NumericCodec
    at: int = -1


@dataclass
class LinkPlan:
    """A foreign key other than the owner: its columns, its target, and whether it points into the table itself."""

    name: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    reference: bool
    nullable: bool


@dataclass
class OwnerPlan:
    """The owner foreign key. null_rows: real rows without an owner; null_size: rows of one ownerless family; families:
    real owners with rows."""

    name: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    null_rows: int
    null_size: int
    families: int = 0


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
    summaries: list[SummaryPlan] = field(default_factory=list)
    course: list[SummaryPlan] = field(default_factory=list)  # the owner's summaries of this table's first time and span
    derived: list[dict[str, Any]] = field(default_factory=list)
    unique: list[list[str]] = field(default_factory=list)  # columns with a matched link whose values never repeat
    context_cards: list[int] = field(default_factory=list)
    cards: list[int] = field(default_factory=list)

    def number(self) -> None:
        """Give every sub-column its place: degrees, time, values, summaries (chain rule order)."""
        cards: list[int] = []

        def place(*more: int) -> int:
            cards.extend(more)
            return len(cards) - len(more)

        for degree in self.degrees:
            degree.at = place(degree.codec.card)
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
        self.cards = cards or [1]  # a table of keys alone: one constant sub-column, so that shapes are never empty

    def features(self) -> list[list[list[float]]]:
        """For each sub-column, the features (K, F) of its codes that follow from their order."""
        out = [d.codec.features() for d in self.degrees]
        if self.time:
            cells = np.pad(ordered_features(np.linspace(0, 1, self.time.cells + 1)), ((1, 0), (0, 0)))
            drawn = [self.time.first, self.time.delta, *([self.time.clock] if self.time.clock else [])]
            out += [*(c.features() for c in drawn), cells]
            out += [np.zeros((card, 0)) for card in self.time.given_cards[1:]]
        out += [c.features() for v in self.values for c in v.codecs]
        out += [s.codec.features() for s in self.summaries]
        return [f.tolist() for f in out] or [[[]]]

    @property
    def given(self) -> list[int]:
        """Sub-columns computed from the row's time."""
        return list(range(self.time.given_at, self.time.given_at + len(self.time.given_cards))) if self.time else []

    def column_at(self, column: str) -> int | None:
        """The first sub-column of a value or time column."""
        if self.time and column == self.time.column:
            return self.time.first_at
        return next((v.at for v in self.values if v.column == column), None)

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
        d["values"] = [
            ValuePlan(
                **{
                    **x,
                    "how": How(x["how"]),
                    "codecs": [codec_from_json(c) for c in x["codecs"]],
                    "keys": tuple(x["keys"]),
                }
            )
            for x in d["values"]
        ]
        d["time"] = TimePlan(**_codecs(d["time"], "first", "delta", "clock")) if d["time"] else None
        d["degrees"] = [DegreePlan(**_codecs(x, "codec")) for x in d["degrees"]]
        d["course"] = [SummaryPlan(**_codecs(x, "codec")) for x in d["course"]]
        d["summaries"] = [SummaryPlan(**_codecs(x, "codec")) for x in d["summaries"]]
        return TablePlan(**d)


def _plain(data: dict[str, Any], plan: TablePlan) -> dict[str, Any]:
    """asdict() with each value codec in its own tagged form (asdict forgets which class a codec was)."""
    for item, value in zip(data["values"], plan.values, strict=True):
        item["codecs"] = [c.to_json() for c in value.codecs]
    return data


def _codecs(data: dict[str, Any], *names: str) -> dict[str, Any]:
    return {**data, **{n: NumericCodec(**data[n]) for n in names if data[n]}}


def _tuples(data: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
