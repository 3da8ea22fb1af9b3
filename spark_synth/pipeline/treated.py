"""Columns whose values are made up: names, addresses, codes and other texts, and how each was treated."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from spark_synth.encoding.plan import TablePlan
from spark_synth.encoding.text import TextPlan
from spark_synth.generation.persons import ADDRESSES, names_known
from spark_synth.generation.regions import AT_HOME, country_of


def treated_columns(
    plans: Mapping[str, TablePlan], kept: Collection[str], tables: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """For each such column its `table`, `column`, `how` in words, whether values are `unique`, and `copied`: synthetic
    values that the real column has, too (None where nobody looked). kept: tables whose real rows are there.

    tables: what the evaluation found, by table.
    """
    found = []
    for name, plan in plans.items():
        for text in plan.texts if name not in kept else ():
            column = tables.get(name, {}).get("columns", {}).get(text.column, {})
            entry = {"table": name, "column": text.column, "how": _how(text, plan)}
            found.append({**entry, "unique": text.unique, "copied": column.get("copied")})
    return found


def _how(text: TextPlan, plan: TablePlan) -> str:
    if text.provider in ADDRESSES and names_known(plan):
        return f"Faker: {text.provider}, made of the names in its row"
    if text.provider:
        where = f" of {text.locale}" if text.locale else ""
        at_home = ", of the country in its row" if text.provider in AT_HOME and country_of(plan) else ""
        return f"Faker: {text.provider}{where}{at_home}"
    if text.forms:
        return "codes of the same forms" + (", of the country in its row" if text.forms_at_home else "")
    return "words spelled by a character model"
