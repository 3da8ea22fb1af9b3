"""What names say of keys, and what values say of entities."""

from __future__ import annotations

import pytest

from spark_synth.discovery.entities import entity
from spark_synth.discovery.names import core, is_key_like, likeness, words
from spark_synth.discovery.profile import Holds, Look


def look(name: str, values: list[str], table: str = "t", holds: Holds = Holds.TEXT) -> Look:
    return Look(table, name, 1, holds, len(values), len(values), len(set(values)), None, None, 40, values)


def test_words_are_lower_case_and_singular() -> None:
    assert words("CustomerIDs") == ("customer", "id")
    assert words("order_details") == ("order", "detail")
    assert words("Categories") == ("category",)
    assert words("status") == ("status",)
    assert core("emp_no") == ("emp",)


@pytest.mark.parametrize("name", ["id", "customer_id", "ArtistId", "emp_no", "playerid", "order key"])
def test_names_of_keys(name: str) -> None:
    assert is_key_like(name)


@pytest.mark.parametrize("name", ["amount", "paid", "valid", "monkey", "grid"])
def test_names_that_are_none(name: str) -> None:
    assert not is_key_like(name)


@pytest.mark.parametrize(
    ("column", "parent", "key", "least", "most"),
    [
        ("customer_id", "customers", "customer_id", 1.0, 1.0),
        ("customer_id", "customers", "id", 0.95, 0.95),
        ("manager_staff_id", "staff", "staff_id", 0.9, 0.9),
        ("film_id", "film_text", "film_id", 0.95, 0.95),  # less than by `film` itself
        ("ship_via", "shippers", "shipper_id", 0.6, 0.7),
        ("SupportRepId", "Employee", "EmployeeId", 0.6, 0.6),
        ("amount", "customers", "customer_id", 0.0, 0.0),
        ("id", "customers", "id", 0.0, 0.0),
    ],
)
def test_likeness(column: str, parent: str, key: str, least: float, most: float) -> None:
    assert least <= likeness(column, parent, key) <= most


def test_a_key_into_its_own_table() -> None:
    assert likeness("reports_to", "employees", "employee_id", same_table=True) == 0.8
    assert likeness("salary", "employees", "employee_id", same_table=True) == 0.0


@pytest.mark.parametrize(
    ("name", "values", "provider"),
    [
        ("contact", ["a.b@c.org", "x@y.de"], "email"),
        ("where", ["192.168.0.1", "10.0.0.255"], "ipv4"),
        ("account", ["DE89370400440532013000", "GB82WEST12345698765432"], "iban"),
        ("paid_with", ["4539578763621486", "4485275742308327"], "credit_card_number"),
        ("tax", ["123-45-6789", "987-65-4321"], "ssn"),
        ("home_phone", ["(206) 555-9857", "030-0074321"], "phone_number"),
        ("link", ["https://a.b/c", "www.x.org"], "url"),
        ("ship_city", ["Lyon", "Graz"], "city"),
        ("firstName", ["Ada", "Ali"], "first_name"),
        ("who", ["Michael", "Jennifer", "David", "Sarah", "Thomas", "Laura"], "first_name"),
        ("spoken_by", ["James Smith", "Mary Johnson", "Linda Brown", "Robert Jones", "Susan Miller"], "name"),
        ("contact_name", ["Maria Anders", "Ana Trujillo"], "name"),
    ],
)
def test_entities(name: str, values: list[str], provider: str) -> None:
    found = entity(look(name, values))
    assert found is not None and found.provider == provider


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("product_name", ["Chai", "Tofu"]),
        ("category_name", ["Beverages", "Produce"]),
        ("contact_title", ["Owner", "Sales Agent"]),
        ("paid_with", ["4539578763621487", "4485275742308328"]),  # check digits are wrong
        ("account", ["DE89370400440532013001", "GB82WEST12345698765431"]),
        ("version", ["1.2.3.4000", "300.1.1.1"]),
        ("grade", ["a", "b"]),
    ],
)
def test_what_names_nothing(name: str, values: list[str]) -> None:
    assert entity(look(name, values)) is None
