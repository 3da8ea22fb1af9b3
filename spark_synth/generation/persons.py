"""Addresses that fit the names in their row: anna.berg@... belongs to Anna Berg."""

from __future__ import annotations

import re
import unicodedata

import numpy as np
import pandas as pd

from spark_synth.encoding.plan import How, TablePlan
from spark_synth.encoding.text import TextMaker, guess_provider

ADDRESSES = {"email", "company_email", "free_email", "safe_email", "user_name"}


def fit_addresses(
    out: pd.DataFrame, plan: TablePlan, makers: list[TextMaker], number: np.ndarray, rng: np.random.Generator
) -> None:
    """Give e-mail addresses and user names of `out` (w0.. the texts, x0.. the values) a local part made of first and
    last name, or the whole name, of the row; number: int64 (n,) of rows, which keeps unique ones apart."""
    names = _names(out, plan)
    if names is None:
        return
    for i, maker in enumerate(makers):
        if maker.plan.provider not in ADDRESSES:
            continue
        texts = out[f"w{i}"].to_numpy(object)
        rows = np.flatnonzero([t is not None and n != "" for t, n in zip(texts, names, strict=True)])
        tags = [f".{np.base_repr(n, 36).lower()}" if maker.plan.unique else "" for n in number[rows].tolist()]
        made = np.array([_address(t, n, g) for t, n, g in zip(texts[rows], names[rows], tags, strict=True)], object)
        if maker.real is not None and len(rows):
            taken = np.flatnonzero(maker.real.contains(made))
            more = [f"{tags[k]}{n}" for k, n in zip(taken.tolist(), rng.integers(10, 100, len(taken)), strict=True)]
            made[taken] = [
                _address(t, n, g) for t, n, g in zip(texts[rows[taken]], names[rows[taken]], more, strict=True)
            ]
        if maker.plan.upper:
            made = np.array([m.upper() for m in made], object)
        texts[rows] = made
        out[f"w{i}"] = texts


def names_known(plan: TablePlan) -> list[str]:
    """The columns of `out` that name the person whom a row is about: first and last name, or the whole, or none."""
    found: dict[str, str] = {}
    for i, text in enumerate(plan.texts):
        found.setdefault(text.provider or "", f"w{i}")
    for i, value in enumerate(plan.values):
        if value.how is How.CATEGORY:
            found.setdefault(guess_provider(value.column) or "", f"x{i}")
    return [found[p] for p in ("first_name", "last_name") if p in found] or [found[p] for p in ("name",) if p in found]


def _names(out: pd.DataFrame, plan: TablePlan) -> np.ndarray | None:
    """Text object (n,): the name of the person that each row is about, spelled as in an address; None without names."""
    parts = names_known(plan)
    if not parts:
        return None
    spelled = [[_plain(v) for v in out[p].to_numpy(object)] for p in parts]
    return np.array([".".join(w for w in words if w) for words in zip(*spelled, strict=True)], object)


def _plain(name: object) -> str:
    """Lower-case letters and digits, words put together by dots."""
    text = unicodedata.normalize("NFKD", name) if isinstance(name, str) else ""
    return ".".join(re.findall(r"[a-z0-9]+", text.encode("ascii", "ignore").decode().lower()))


def _address(text: str, name: str, tag: str) -> str:
    _, at, domain = text.partition("@")
    return f"{name}{tag}{at}{domain}"
