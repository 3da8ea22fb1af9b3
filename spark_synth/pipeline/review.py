"""A walk through what a proposed schema is not sure of, on the terminal: keep a key, drop it, or stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from spark_synth.errors import UserError
from spark_synth.evaluation.report.proposal import DOUBTFUL
from spark_synth.schema.model import ForeignKey, Schema, Table

Ask = Callable[[str], str]  # a question -> the answer
HELP = "y: keep it, n: drop it, q: stop here"


def review_schema(schema: Schema, ask: Ask) -> int:
    """Ask for every doubtful key of a proposed schema, the least sure first, and drop in place what is refused; how
    many were dropped. A key that is kept is sure from then on, so that nobody is asked twice."""
    dropped = 0
    doubtful = sorted(_doubtful(schema), key=lambda item: item[2].confidence or 0.0)
    for i, (table, question, item) in enumerate(doubtful):
        answer = _answer(ask, f"[{i + 1}/{len(doubtful)}] {question}")
        if answer == "q":
            break
        item.confidence = 1.0 if answer == "y" else item.confidence
        if answer == "n":
            dropped += 1
            _drop(schema.tables[table], item)
    return dropped


def terminal(question: str) -> str:
    """The answer that is typed; UserError where nobody can type one."""
    try:
        return input(f"{question} ({HELP}) ")
    except EOFError:
        raise UserError("--review asks on a terminal, and there is none: edit the schema file instead") from None


def _doubtful(schema: Schema) -> Iterator[tuple[str, str, Table | ForeignKey]]:
    """Table, question and what it is about."""
    for name, table in schema.tables.items():
        if table.primary_key and _unsure(table):
            key = ", ".join(table.primary_key)
            yield name, f"{name}: is ({key}) the primary key? {table.evidence or ''}", table
        for fk in table.foreign_keys:
            if _unsure(fk):
                ends = f"({', '.join(fk.columns)}) lead to {fk.parent} ({', '.join(fk.parent_columns)})"
                yield name, f"{name}: does {ends}? {fk.evidence or ''}", fk


def _unsure(item: Table | ForeignKey) -> bool:
    return item.confidence is not None and item.confidence < DOUBTFUL


def _answer(ask: Ask, question: str) -> str:
    while (answer := ask(question).strip().lower()[:1]) not in ("y", "n", "q"):
        question = "please answer y, n or q"
    return answer


def _drop(table: Table, item: Table | ForeignKey) -> None:
    if isinstance(item, ForeignKey):
        table.foreign_keys.remove(item)
    else:
        table.primary_key, table.confidence, table.evidence = (), None, None
