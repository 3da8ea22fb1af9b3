"""First and last names of people by locale, as Faker lists them."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterable
from functools import cache

import faker.providers.person

FIRSTS, LASTS = ("first_names", "first_names_male", "first_names_female"), ("last_names",)


@cache
def known_names(locale: str) -> tuple[frozenset[str], frozenset[str]]:
    """Lower-case first and last names of a locale; none where Faker makes them up."""
    provider = importlib.import_module(f"{faker.providers.person.__name__}.{locale}").Provider
    return _listed(provider, FIRSTS), _listed(provider, LASTS)


@cache
def locales_of(package: str) -> list[str]:
    """The locales, with a country, that a package of Faker's providers has."""
    modules = pkgutil.iter_modules(importlib.import_module(package).__path__)
    return sorted(m.name for m in modules if re.fullmatch(r"[a-z]{2,3}_[A-Z]{2}", m.name))


def _listed(provider: type, attributes: Iterable[str]) -> frozenset[str]:
    lists = [getattr(provider, name, ()) for name in attributes]
    told = [names for names in lists if isinstance(names, Iterable)]  # a property in some
    return frozenset(str(name).lower() for names in told for name in names)
