from __future__ import annotations

import pytest
from faker import Faker

from spark_synth.encoding.locales import likeliest, locale_of_country


@pytest.mark.parametrize("locale", ["de_DE", "fr_FR", "es_ES", "it_IT", "pl_PL", "sv_SE", "ru_RU", "ja_JP"])
def test_names_tell_their_locale(locale: str) -> None:
    faker = Faker(locale)
    faker.seed_instance(1)
    words = [word for _ in range(300) for word in (faker.first_name().lower(), faker.last_name().lower())]
    assert likeliest(words) == locale


@pytest.mark.parametrize("words", [["smith", "mary", "johnson", "james"], ["qx", "zk"], []])
def test_where_names_tell_nothing_the_usual_ones_serve(words: list[str]) -> None:
    assert likeliest(words) == ""


@pytest.mark.parametrize(
    ("country", "locale"),
    [
        ("Germany", "de_DE"),
        ("deu", "de_DE"),
        ("SE", "sv_SE"),
        (" UK ", "en_GB"),
        ("Canada", "en_CA"),
        ("Nowhere", None),
    ],
)
def test_a_country_has_a_locale(country: str, locale: str | None) -> None:
    assert locale_of_country(country) == locale
