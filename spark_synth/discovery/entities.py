"""What a text column names: people, places, ways to reach them, numbers that identify them.

Forms tell by themselves (an e-mail address, a card number with its check digit). Names of people, streets and cities
have no form of their own: there the name of the column proposes, and the values must not speak against it; without
such a name, values that are mostly known first or last names tell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from spark_synth.discovery.names import words
from spark_synth.discovery.profile import Holds, Look
from spark_synth.known_names import known_names

SURE, LIKELY = 0.95, 0.8
LEAST_SHARE = 0.8  # of the values that have the form
KNOWN_NAMES = 0.5  # share of values that are known names, from which they tell by themselves
LOCALES = ("en_US", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pt_BR", "sv_SE", "pl_PL")


@dataclass(frozen=True)
class Entity:
    """A Faker provider that makes such values, how sure that is (0 to 1), and why, in words."""

    provider: str
    confidence: float
    evidence: str


@dataclass(frozen=True)
class _Form:
    provider: str
    fits: Callable[[str], bool]
    hint: frozenset[str] = frozenset()  # words of which the name must have one, where the form alone is not enough


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern, re.IGNORECASE)
    return lambda value: compiled.fullmatch(value.strip()) is not None


def _luhn(value: str) -> bool:
    digits = [int(d) for d in re.sub(r"[ -]", "", value) if d.isdigit()]
    if not 13 <= len(digits) <= 19 or re.fullmatch(r"[\d -]+", value) is None:
        return False
    doubled = [d if i % 2 == 0 else (2 * d - 9 if d > 4 else 2 * d) for i, d in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def _iban(value: str) -> bool:
    text = value.replace(" ", "").upper()
    if re.fullmatch(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", text) is None:
        return False
    return int("".join(str(int(c, 36)) for c in text[4:] + text[:4])) % 97 == 1


_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_PHONE = _matches(r"\+?[\d(][\d ()./+-]{5,20}\d(?: ?(?:x|ext\.?) ?\d+)?")
_FORMS = (
    _Form("email", _matches(r"[^@\s]+@[^@\s]+\.[a-z]{2,}")),
    _Form("url", _matches(r"(?:https?://|www\.)\S+|.*#https?://.*#")),
    _Form("ipv4", _matches(rf"{_OCTET}(?:\.{_OCTET}){{3}}")),
    _Form("ipv6", _matches(r"(?=.*:.*:)[0-9a-f:]{3,39}")),
    _Form("iban", _iban),
    _Form("ssn", _matches(r"\d{3}-\d{2}-\d{4}")),
    _Form("credit_card_number", _luhn, frozenset({"card", "cc", "credit", "pan"})),
    _Form("credit_card_number", lambda v: _luhn(v) and len(re.sub(r"\D", "", v)) == 16),
    _Form("ssn", _matches(r"[\dA-Z][\dA-Z ./-]{5,16}"), frozenset({"ssn", "social", "national", "nin", "passport"})),
    _Form("phone_number", _PHONE, frozenset({"phone", "telephone", "tel", "fax", "mobile", "cell"})),
    _Form("phone_number", _matches(r"(?:\+\d{1,3} ?)?\(\d{1,5}\) ?[\d -]{5,12}|\+\d{1,3}[ -][\d -]{6,14}")),
    _Form("postcode", _matches(r"[A-Z0-9][A-Z0-9 -]{2,9}"), frozenset({"postal", "postcode", "zip", "plz"})),
)
_THING = frozenset(
    {
        *("product", "item", "category", "genre", "artist", "album", "track", "playlist", "film", "movie", "language"),
        *("department", "region", "team", "league", "file", "table", "event", "series", "arena", "store", "type"),
        *("user", "display", "host", "domain", "class", "media"),
    }
)
_WORDS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"fullname", "fullgiven"}), "name"),
    (frozenset({"firstname", "forename", "givenname", "middlename"}), "first_name"),
    (frozenset({"lastname", "surname", "familyname"}), "last_name"),
    (frozenset({"username", "login"}), "user_name"),
    (frozenset({"company", "employer", "firm", "organisation", "organization"}), "company"),
    (frozenset({"country", "nationality"}), "country"),
    (frozenset({"city", "town", "municipality"}), "city"),
    (frozenset({"address", "street", "addr"}), "street_address"),
)
_PERSON = frozenset({"contact", "customer", "person", "employee", "patient", "client", "member", "author", "owner"})
_NO_NAMES = frozenset({"title", "type", "kind", "status", "code", "id", "date", "count", "number", "flag"})


def entity(look: Look) -> Entity | None:
    """What the values of a column name, None where nothing is told."""
    if not look.sample or look.holds not in (Holds.TEXT, Holds.WHOLE):
        return None
    named, values = set(words(look.name)), list(look.sample)
    for form in _FORMS:
        if form.hint and not _hinted(look.name, form.hint):
            continue
        share = sum(map(form.fits, values)) / len(values)
        if share >= LEAST_SHARE and (look.holds is Holds.TEXT or form.hint):
            called = ", and the name says so" if form.hint else ""
            return Entity(form.provider, SURE * share, f"{share:.0%} of the values have its form{called}")
    if look.holds is not Holds.TEXT or named & _NO_NAMES:
        return None
    return _named(look, values) or _of_people(look, values)


def _hinted(name: str, hint: frozenset[str]) -> bool:
    """Whether a name has such a word, alone or as the end of one (`homephone`)."""
    return any(w in hint or any(len(h) > 3 and w.endswith(h) for h in hint) for w in words(name))


def _named(look: Look, values: Sequence[str]) -> Entity | None:
    """What the name says, unless the values look like something else."""
    found = words(look.name)
    joined = {*found, *(a + b for a, b in zip(found, found[1:], strict=False))}
    provider = next((p for hints, p in _WORDS if any(_hinted(w, hints) for w in joined)), None)
    if provider is None and found[-1:] == ("name",) and _is_person(found[:-1], look.table):
        provider = "name"
    if provider is None or not _plausible(provider, values):
        return None
    return Entity(provider, LIKELY, "the name says so, and the values look like it")


def _is_person(before: Sequence[str], table: str) -> bool:
    of = set(before) or set(words(table))
    return bool(of & _PERSON) and not of & _THING


def _plausible(provider: str, values: Sequence[str]) -> bool:
    lettered = sum(bool(re.search(r"[^\W\d_]{2}", v)) for v in values) / len(values)
    if provider == "street_address":
        return lettered >= LEAST_SHARE and sum(len(v) >= 5 for v in values) >= LEAST_SHARE * len(values)
    short = sum(len(v) <= 60 for v in values) / len(values)
    return lettered >= LEAST_SHARE and short >= LEAST_SHARE


def _of_people(look: Look, values: Sequence[str]) -> Entity | None:
    """Names of people by what the values are."""
    if look.distinct < 5 or set(words(look.name)) & _THING:
        return None
    firsts, lasts = _known_names()
    texts = [v.strip().lower() for v in values]
    for provider, known in (("first_name", firsts), ("last_name", lasts)):
        share = sum(t in known for t in texts) / len(texts)
        if share >= KNOWN_NAMES:
            return Entity(provider, share, f"{share:.0%} of the values are known as such")
    whole = [t.split() for t in texts]
    share = sum(len(t) in (2, 3) and t[0] in firsts and t[-1] in lasts for t in whole) / len(whole)
    if share >= KNOWN_NAMES / 2:
        return Entity("name", min(1.0, 2 * share), f"{share:.0%} of the values are a first and a last name")
    return None


@cache
def _known_names() -> tuple[frozenset[str], frozenset[str]]:
    """First and last names of several countries."""
    firsts, lasts = zip(*map(known_names, LOCALES), strict=True)
    return frozenset[str]().union(*firsts), frozenset[str]().union(*lasts)
