"""Texts of which none occurs twice: each is spelled from the number of its row, so blocks need not know of each other.

Names run through a pool and then get a number; codes count through the free places of their forms; words are decoded
from the number by the character model, as an arithmetic decoder does (Rissanen and Langdon, 1979): numbers are points
at equal distance, every text covers an interval as wide as it is likely, and none may end before its interval is too
narrow for a second point.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from pyspark.sql import Column
from pyspark.sql import functions as F

from spark_synth.encoding.forms import Forms
from spark_synth.encoding.keys import CLASSES, TRIES, Taken, coprime, free_values, spell
from spark_synth.encoding.text import END, Chain, Pool, TextMaker


def unique_texts(maker: TextMaker, number: np.ndarray, count: int, countries: np.ndarray | None = None) -> np.ndarray:
    """Texts object (n,), all different for different numbers int64 (n,) and none of them real.

    count: more than the numbers of all rows of the table. countries: text object (n,), of the rows that name one.
    """
    source = maker.source
    if isinstance(source, Pool):
        return free_values(lambda i: _from_pool(source, i), number, count, maker.real)
    if isinstance(source, Chain):
        return free_values(lambda i: _from_chain(source, i, count * TRIES), number, count, maker.real)
    return _from_forms(source, number, count, maker.real, countries)


def tagged(text: str, tag: str) -> str:
    """A name with something behind it that makes it another one: in an address before the @."""
    local, at, domain = text.partition("@")
    return f"{local}.{tag}@{domain}" if at else f"{text} {tag}"


def tagged_column(text: Column, tag: str) -> Column:
    """The same of a column of Spark."""
    mail = F.regexp_replace(text, "^([^@]*)@", f"$1.{tag}@")
    return F.when(text.contains("@"), mail).otherwise(F.concat(text, F.lit(f" {tag}")))


def _from_pool(source: Pool, number: np.ndarray) -> np.ndarray:
    size = len(source.values)
    factor = coprime(size)
    names = source.values[(number * factor + 7) % size]
    rounds = number // size
    return np.array([tagged(v, str(r + 1)) if r else v for v, r in zip(names, rounds.tolist(), strict=True)], object)


def _from_forms(
    source: Forms, number: np.ndarray, count: int, real: Taken | None, countries: np.ndarray | None
) -> np.ndarray:
    """The forms that have places enough for all rows, by their shares; no value has two forms."""
    sets = [list(signs) for signs in source.forms]
    wide = [i for i, signs in enumerate(sets) if math.prod(map(len, signs)) >= count * TRIES]
    if not wide:  # the widest one, longer than any real value
        wide = [max(range(len(sets)), key=lambda i: math.prod(map(len, sets[i])))]
        while math.prod(map(len, sets[wide[0]])) < count * TRIES:
            sets[wide[0]] = [*sets[wide[0]], CLASSES[0]]
    which = source.choose((number * 0.6180339887498949) % 1.0, wide, countries)
    out = np.full(len(number), None, dtype=object)
    for i in np.unique(which):
        mine, space = which == i, math.prod(map(len, sets[i]))
        out[mine] = free_values(partial(spell, charsets=sets[i], space=space), number[mine], count, real)
    return out


def _from_chain(chain: Chain, number: np.ndarray, space: int) -> np.ndarray:
    n = len(number)
    factor = coprime(space)
    point = ((number.astype(object) * factor + 7) % space).astype(float) / space + 0.5 / space
    width, state, out = np.ones(n), np.full(n, chain.start), np.full(n, "", dtype=object)
    end = np.flatnonzero(chain.chars == END)
    for _ in range(chain.max_length):
        live = np.flatnonzero(state >= 0)
        if not len(live):
            break
        high = chain.cumulative[state[live]]
        shares = np.diff(high, axis=1, prepend=0.0)
        early = (width[live] * space >= 0.5) & (shares.sum(1) - shares[:, end].sum(1) > 1e-9)
        shares[np.ix_(early, end)] = 0.0
        shares /= shares.sum(1, keepdims=True)
        high = np.cumsum(shares, 1)
        drawn = (high <= point[live, None]).sum(1).clip(max=len(chain.chars) - 1)
        drawn = np.where(shares[np.arange(len(live)), drawn] > 0, drawn, shares.argmax(1))
        own = shares[np.arange(len(live)), drawn]
        point[live] = ((point[live] - (high[np.arange(len(live)), drawn] - own)) / own).clip(0, 1 - 1e-12)
        width[live] *= own
        ends = chain.chars[drawn] == END
        out[live] += np.where(ends, "", chain.chars[drawn])
        state[live] = np.where(ends, -1, chain.following[state[live], drawn])
    short = width * space >= 0.5  # the model knows too few texts
    out[short] = [f"{t} {i}" for t, i in zip(out[short], number[short].tolist(), strict=True)]
    return np.array([t.strip() or f"x{i}" for t, i in zip(out, number.tolist(), strict=True)], dtype=object)
