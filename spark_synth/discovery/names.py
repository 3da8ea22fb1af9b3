"""What names say: whether a column is called like the key of a table."""

from __future__ import annotations

import re

KEY_WORDS = frozenset(
    {"id", "ids", "key", "code", "no", "nr", "num", "number", "uuid", "guid", "sk", "pk", "fk", "ref"}
)
_SAME = ("report", "parent", "manager", "supervisor", "superior", "boss", "mentor", "predecessor", "previous", "next")
_ROLES = frozenset({"rep", "agent", "manager", "staff", "seller", "supervisor", "assignee", "approver", "driver"})
_PEOPLE = frozenset({"employee", "staff", "user", "person", "people", "worker", "personnel", "member"})
_NO_KEYS = frozenset(
    {
        *("valid", "invalid", "avoid", "solid", "rapid", "fluid", "liquid", "acid", "humid", "hybrid", "covid"),
        *("android", "afraid", "prepaid", "unpaid", "monkey", "hockey", "turkey", "whiskey", "jockey"),
    }
)
_LEAST_PREFIX = 3  # letters in which an abbreviation agrees with a word: emp, employee


def words(name: str) -> tuple[str, ...]:
    """Lower-case words of a name, each in the singular: `CustomerIDs`, `customer_ids` -> customer, id."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z](?:[a-rt-z]|s[a-z]))", " ", name)
    return tuple(_singular(w.lower()) for w in re.findall(r"[^\W_]+", parted))


def is_key_like(name: str) -> bool:
    """Whether a name ends like that of a key."""
    found = words(name)
    if not found or found[-1] in KEY_WORDS:
        return bool(found)
    return re.search(r"[a-z]{3}(id|key|uuid|guid)$", found[-1]) is not None and found[-1] not in _NO_KEYS


def core(name: str) -> tuple[str, ...]:
    """The words of a name without those that say that it is a key."""
    return tuple(w for w in words(name) if w not in KEY_WORDS)


def likeness(column: str, parent: str, key: str, same_table: bool = False) -> float:
    """How far a column is called like `key` of the table `parent`: 0 to 1."""
    own, table, theirs = words(column), words(parent), words(key)
    named = bool(core(key))  # not just `id`
    told, ours = core(key) or table, core(column)
    if not ours:
        return 0.0
    if named and own == theirs:
        return 1.0 if _ends(table, told) or _ends(told, table) or _short(told, table) else 0.95
    if ours in (told, table):
        return 0.95
    if (named and _ends(own, theirs)) or _ends(ours, told) or _ends(ours, table):
        return 0.9
    if same_table:
        return 0.8 if any(w in _SAME for w in ours) else 0.0
    if _short(ours[-1:], table[-1:]) or _short(ours[:1], table[:1]):
        return 0.65
    if _ROLES & set(ours) and _PEOPLE & set(table):
        return 0.6
    return 0.5 if set(ours) & set(table) else 0.0


def _ends(whole: tuple[str, ...], part: tuple[str, ...]) -> bool:
    return bool(part) and whole[-len(part) :] == part


def _short(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether one word is the beginning of the other."""
    if not one or not other:
        return False
    a, b = sorted((one[-1], other[-1]), key=len)
    return len(a) >= _LEAST_PREFIX and b.startswith(a)


def _singular(word: str) -> str:
    if word == "ids":
        return "id"
    if len(word) > 3 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
