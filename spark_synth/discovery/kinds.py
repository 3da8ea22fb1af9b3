"""The kind of every column, from what it holds and how often its values repeat."""

from __future__ import annotations

import re

from spark_synth.discovery.entities import Entity
from spark_synth.discovery.profile import Holds, Look
from spark_synth.schema.check import UUID
from spark_synth.schema.model import Column, Kind

FEW_NUMBERS = 12  # distinct whole numbers that are categories
REPEATED = 0.2  # distinct values a row up to which a text is a category
MOST_CATEGORIES = 1000
LONGEST = 100  # characters of a category
PERSONAL = frozenset({"first_name", "last_name", "name", "email", "phone_number", "street_address", "user_name"})
POSTCODE = "postcode"  # no number, although it may be written as one
PERSONAL |= {"ssn", "iban", "credit_card_number", "ipv4", "ipv6"}


def kind_of(look: Look, found: Entity | None, is_key: bool, unique: bool = False) -> Column:
    """The column of the proposed schema. is_key: it is a primary key by itself, or part of a foreign key; unique: the
    source says that no value occurs twice."""
    personal = found is not None and found.provider in PERSONAL | {POSTCODE}
    if is_key or (unique and not personal and _numbered(look)):
        return Column(kind=Kind.KEY)
    if look.holds is Holds.TIME:
        return Column(kind=Kind.DATETIME, format=look.format)
    if look.holds is Holds.FLAG:
        return Column(kind=Kind.BOOLEAN)
    if look.holds is Holds.NUMBER:
        return Column(kind=Kind.NUMERIC)
    if look.holds is Holds.WHOLE and not personal:
        return Column(kind=Kind.CATEGORICAL if look.distinct <= FEW_NUMBERS else Kind.NUMERIC)
    if found and (found.provider in PERSONAL or not _repeats(look)):
        return Column(kind=Kind.PII, provider=found.provider)
    return Column(kind=Kind.CATEGORICAL if _repeats(look) else Kind.TEXT)


def _numbered(look: Look) -> bool:
    """Whether values are numbers or codes that only name a row: text without words, and whole numbers."""
    if look.holds is Holds.TEXT:
        return all(re.search(r"[^\W\d_]{4}|\s", v) is None or re.search(UUID, v) for v in look.sample)
    return look.holds is Holds.WHOLE or (look.holds is Holds.NUMBER and all(v.isdigit() for v in look.sample))


def _repeats(look: Look) -> bool:
    few = look.distinct <= min(MOST_CATEGORIES, max(20, REPEATED * look.known))
    return look.known > 0 and few and look.distinct < look.known and look.longest <= LONGEST
