"""The kind of every column, from what it holds and how often its values repeat."""

from __future__ import annotations

from spark_synth.discovery.entities import Entity
from spark_synth.discovery.profile import Holds, Look
from spark_synth.schema.model import Column, Kind

FEW_NUMBERS = 12  # distinct whole numbers that are categories
REPEATED = 0.2  # distinct values a row up to which a text is a category
MOST_CATEGORIES = 1000
LONGEST = 100  # characters of a category
PERSONAL = frozenset({"first_name", "last_name", "name", "email", "phone_number", "street_address", "user_name"})
PERSONAL |= {"ssn", "iban", "credit_card_number", "ipv4", "ipv6"}


def kind_of(look: Look, found: Entity | None, is_key: bool) -> Column:
    """The column of the proposed schema. is_key: it is a primary key by itself, or part of a foreign key."""
    if is_key:
        return Column(kind=Kind.KEY)
    if look.holds is Holds.TIME:
        return Column(kind=Kind.DATETIME, format=look.format)
    if look.holds is Holds.FLAG:
        return Column(kind=Kind.BOOLEAN)
    if look.holds is Holds.NUMBER:
        return Column(kind=Kind.NUMERIC)
    if look.holds is Holds.WHOLE and not (found and found.provider in PERSONAL):
        return Column(kind=Kind.CATEGORICAL if look.distinct <= FEW_NUMBERS else Kind.NUMERIC)
    if found and (found.provider in PERSONAL or not _repeats(look)):
        return Column(kind=Kind.PII, provider=found.provider)
    return Column(kind=Kind.CATEGORICAL if _repeats(look) else Kind.TEXT)


def _repeats(look: Look) -> bool:
    few = look.distinct <= min(MOST_CATEGORIES, max(20, REPEATED * look.known))
    return look.known > 0 and few and look.distinct < look.known and look.longest <= LONGEST
