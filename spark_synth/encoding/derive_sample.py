"""What the search for rules works on: a bounded sample of a table on the driver, and the form of a proposed rule."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.columns import TIME_NAME
from spark_synth.encoding.views import in_seconds, number_of, quoted
from spark_synth.schema.check import INTEGERS
from spark_synth.schema.model import ForeignKey, Kind, Table
from spark_synth.schema.names import quote

SAMPLE_ROWS = 3000
MIN_ROWS = 30
# Nats by which a rule must be unlikely to hold by accident: a thousand tries leave e^-33.
EVIDENCE = 40.0
_ESCAPED = re.compile(r"[\\'\x00-\x1f]")


@dataclass(frozen=True)
class Rule:
    """A rule that the sample supports.

    breaks: SQL that is true in a row which violates it; tolerance: share of rows that may.
    """

    kind: str
    column: str
    sql: str
    inputs: tuple[str, ...]
    breaks: str
    tolerance: float = 0.0

    def to_json(self) -> dict[str, object]:
        """The form that the plan keeps."""
        return {"kind": self.kind, "column": self.column, "sql": self.sql, "inputs": list(self.inputs)}


class Sample:
    """Rows with the smallest hashes, so the same for any partitioning, column by column.

    numbers: float64 of numeric columns; moments: seconds since 1970 of datetime columns; labels: int codes (NULL is
    one of them) of every column a map may read or make; digits: whole numbers read from categories, where all are;
    flags: 0 and 1 of booleans. targets: columns that a rule may make or change.
    """

    def __init__(
        self, df: DataFrame, table: Table, owner: ForeignKey | None, references: Collection[str], seed: int
    ) -> None:
        self.types = {c: v.type or "string" for c, v in table.columns.items()}
        self.kinds = {c: v.kind for c, v in table.columns.items()}
        self.owned = owner is not None
        linked = table.foreign_key_columns()
        # Keys of other tables are made anew: only those of reference tables mean the same in generated rows.
        self.kept_keys = sorted({c for fk in table.foreign_keys if fk.parent in references for c in fk.columns})
        self.modelled = [
            c for c, k in self.kinds.items() if c not in linked and k not in (Kind.KEY, Kind.TEXT, Kind.PII)
        ]
        frame = self._read(df, seed)
        self.rows = len(frame)
        self.numbers = {c: frame[c].to_numpy(float) for c in self._of(Kind.NUMERIC)}
        self.moments = {c: frame[c].to_numpy(float) for c in self._of(Kind.DATETIME)}
        self.labels = {c: pd.factorize(frame[c], use_na_sentinel=False)[0] for c in frame.columns}
        self.nulls = {c: frame[c].isna().to_numpy() for c in frame.columns}
        self.digits = {c: v for c in self._of(Kind.CATEGORICAL) if (v := _digits(frame[c])) is not None}
        flags = {"true": 1.0, "false": 0.0}
        self.flags = {c: frame[c].map(flags).to_numpy(float) for c in self._of(Kind.BOOLEAN)}
        self.times = self._times()
        time = self.time([c for c in self.times if self.nulls[c].any()])
        self.targets = [c for c in self.modelled if c not in table.primary_key and c != time]

    def time(self, nullable: Collection[str]) -> str | None:
        """The column that orders a family (as the plan will choose it), given the columns that hold NULLs."""
        return next((c for c in self.times if c not in nullable), None)

    def whole(self, column: str) -> bool:
        """Whether a numeric column holds whole numbers only."""
        values = self.numbers[column]
        return bool(np.all(np.isnan(values) | (values == np.floor(values))))

    def distinct(self, column: str) -> int:
        """Different values, NULL counted as one."""
        return int(self.labels[column].max()) + 1 if self.rows else 0

    def evidence(self, column: str) -> float:
        """Nats: how unlikely it is to guess the column right in every row from its frequencies alone."""
        return float(surprise(self.labels[column]).sum())

    def _of(self, kind: Kind) -> list[str]:
        return [c for c in self.modelled if self.kinds[c] is kind]

    def _times(self) -> list[str]:
        if not self.owned:
            return []
        named = [c for c in self._of(Kind.NUMERIC) if self.types[c] in INTEGERS and TIME_NAME.search(c)]
        return self._of(Kind.DATETIME) + named

    def _read(self, df: DataFrame, seed: int) -> pd.DataFrame:
        names = self.modelled + self.kept_keys
        views = []
        for i, c in enumerate(names):
            view = quoted(c).cast("string")
            if self.kinds[c] in (Kind.NUMERIC, Kind.DATETIME) and c in self.modelled:
                view = number_of(quoted(c), self.types[c])
                view = in_seconds(view, self.types[c]) if self.kinds[c] is Kind.DATETIME else view
            views.append(view.alias(f"c{i}"))
        order = F.xxhash64(*[quoted(c) for c in self.types], F.lit(seed)).alias("h")
        found = df.select(order, *views).orderBy("h").limit(SAMPLE_ROWS).drop("h").toPandas()
        found.columns = pd.Index(names)
        return found


def surprise(codes: np.ndarray) -> np.ndarray:
    """Nats of each value of int codes (n,) under their own frequencies."""
    counts = np.bincount(codes)
    out: np.ndarray = -np.log(counts[codes] / max(1, len(codes)))
    return out


def differs(sql: str, column: str, type_: str) -> str:
    """SQL that is true where an expression, cast to the type of a column, is not the value of that column."""
    name = quote(column)
    if type_ in ("float", "double"):
        close = f"abs({name} - ({sql})) <= 1e-9 * greatest(abs({name}), 1D)"
        return f"NOT coalesce({close}, {name} IS NULL AND ({sql}) IS NULL)"
    return f"NOT (CAST({sql} AS {type_}) <=> {name})"


def literal(text: str) -> str:
    """The SQL literal of a text."""
    return "'" + _ESCAPED.sub(lambda m: f"\\u{ord(m.group()):04x}", text) + "'"


def _digits(values: pd.Series) -> np.ndarray | None:
    """Float64 of a text column in which every value is a whole number, else None."""
    present = values.dropna()
    if present.empty or not present.str.fullmatch(r"-?(0|[1-9][0-9]{0,8})").all():
        return None
    return values.astype(float).to_numpy()
