"""Make a telecom company's database up, 231,000 rows in SQLite: `python jobs/telecom_data.py [telecom.db]`.

Clients live somewhere, have accounts (a SIM each), get an invoice a month and pay it: on time or late, which depends on
the account, and some never. Amounts depend on the plan and on the account.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
from faker import Faker

CLIENTS, LOCATIONS, ACCOUNTS, INVOICES, PAYMENTS = 9_000, 11_000, 14_000, 103_000, 94_000
FIRST, LAST = np.datetime64("2013-12-01"), np.datetime64("2017-05-31")
PLANS = {"basic": 18.0, "family": 55.0, "business": 140.0, "fleet": 420.0}
DDL = """
CREATE TABLE client (client_id INTEGER PRIMARY KEY, ssn TEXT NOT NULL UNIQUE, first_name TEXT NOT NULL,
    last_name TEXT NOT NULL, email TEXT UNIQUE, birth_date DATE, segment TEXT NOT NULL);
CREATE TABLE location (location_id INTEGER PRIMARY KEY, client_id INTEGER NOT NULL REFERENCES client,
    address TEXT NOT NULL, city TEXT NOT NULL, state TEXT NOT NULL, zip TEXT);
CREATE TABLE account (account_id INTEGER PRIMARY KEY, client_id INTEGER NOT NULL REFERENCES client,
    sim TEXT NOT NULL UNIQUE, plan TEXT NOT NULL, opened DATE NOT NULL, autopay BOOLEAN NOT NULL);
CREATE TABLE invoice (invoice_id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES account,
    issued DATE NOT NULL, due DATE NOT NULL, amount DECIMAL(8, 2) NOT NULL CHECK (amount BETWEEN 1 AND 1000));
CREATE TABLE payment (payment_id INTEGER PRIMARY KEY, invoice_id INTEGER NOT NULL UNIQUE REFERENCES invoice,
    paid DATE NOT NULL, amount DECIMAL(8, 2) NOT NULL, method TEXT NOT NULL);
CREATE INDEX location_client ON location (client_id);
CREATE INDEX account_client ON account (client_id);
CREATE INDEX invoice_account ON invoice (account_id);
"""


def tables(seed: int = 0) -> dict[str, pd.DataFrame]:
    """All rows; the same for the same seed."""
    rng, faker = np.random.default_rng(seed), Faker()
    faker.seed_instance(seed)
    segment = rng.choice(["private", "professional", "company"], CLIENTS, p=[0.72, 0.2, 0.08])
    first, last = ([getattr(faker, kind)() for _ in range(CLIENTS)] for kind in ("first_name", "last_name"))
    mails = [
        f"{a}.{b}{i}@{faker.free_email_domain()}".lower() for i, (a, b) in enumerate(zip(first, last, strict=True))
    ]
    client = pd.DataFrame(
        {
            "client_id": np.arange(1, CLIENTS + 1),
            "ssn": [faker.unique.ssn() for _ in range(CLIENTS)],
            "first_name": first,
            "last_name": last,
            "email": [m if known else None for m, known in zip(mails, rng.random(CLIENTS) < 0.85, strict=True)],
            "birth_date": _days(np.datetime64("1975-01-01"), rng.normal(0, 5000, CLIENTS)),
            "segment": segment,
        }
    )
    account = _accounts(rng, segment)
    invoice = _invoices(rng, account)
    payment = _payments(rng, account, invoice)
    found = {"client": client, "location": _locations(rng, faker), "account": account}
    found |= {"invoice": invoice.drop(columns="late"), "payment": payment}
    found["account"] = account.drop(columns="late")
    return found


def _locations(rng: np.random.Generator, faker: Faker) -> pd.DataFrame:
    owner = np.sort(np.concatenate([np.arange(CLIENTS), rng.integers(0, CLIENTS, LOCATIONS - CLIENTS)])) + 1
    places = [(faker.city(), faker.state_abbr(include_territories=False)) for _ in range(60)]
    at = np.minimum(rng.geometric(0.06, LOCATIONS) - 1, len(places) - 1)
    return pd.DataFrame(
        {
            "location_id": np.arange(1, LOCATIONS + 1),
            "client_id": owner,
            "address": [faker.street_address() for _ in range(LOCATIONS)],
            "city": [places[i][0] for i in at],
            "state": [places[i][1] for i in at],
            "zip": [
                f"{10_000 + 977 * i % 80_000 + k:05d}" for i, k in zip(at, rng.integers(0, 40, LOCATIONS), strict=True)
            ],
        }
    )


def _accounts(rng: np.random.Generator, segment: np.ndarray) -> pd.DataFrame:
    more = {"private": 1.0, "professional": 2.0, "company": 6.0}
    weight = np.array([more[s] for s in segment])
    extra = rng.choice(CLIENTS, ACCOUNTS - CLIENTS, p=weight / weight.sum())
    owner = np.sort(np.concatenate([np.arange(CLIENTS), extra]))
    chances = {
        "private": [0.6, 0.38, 0.02, 0],
        "professional": [0.2, 0.3, 0.45, 0.05],
        "company": [0.02, 0.08, 0.5, 0.4],
    }
    plan = np.array([rng.choice(list(PLANS), p=chances[segment[c]]) for c in owner])
    sims = rng.permutation(10**7)[:ACCOUNTS]
    return pd.DataFrame(
        {
            "account_id": np.arange(1, ACCOUNTS + 1),
            "client_id": owner + 1,
            "sim": [f"8901410{s:012d}" for s in sims],
            "plan": plan,
            "opened": _days(FIRST, rng.beta(1.2, 1.6, ACCOUNTS) * 1150),
            "autopay": rng.random(ACCOUNTS) < np.where(plan == "basic", 0.35, 0.6),
            "late": rng.beta(0.6, 2.0, ACCOUNTS),
        }
    )


def _invoices(rng: np.random.Generator, account: pd.DataFrame) -> pd.DataFrame:
    """One a month, for some of the months that an account is open."""
    opened = account["opened"].to_numpy("datetime64[D]")
    months = ((LAST - opened).astype(int) // 30).clip(1)
    share = INVOICES / months.sum()
    counts = rng.binomial(months, min(1.0, share))
    while counts.sum() != INVOICES:  # to the row
        at = rng.integers(0, ACCOUNTS)
        counts[at] = np.clip(counts[at] + np.sign(INVOICES - counts.sum()), 0, months[at])
    owner = np.repeat(np.arange(ACCOUNTS), counts)
    number = np.arange(INVOICES) - np.repeat(np.cumsum(counts) - counts, counts)
    issued = opened[owner] + (number * 30 + rng.integers(0, 3, INVOICES)).astype("timedelta64[D]")
    base = np.array([PLANS[p] for p in account["plan"]]) * rng.lognormal(0, 0.35, ACCOUNTS)
    amount = (base[owner] * rng.lognormal(0, 0.12, INVOICES)).clip(1, 1000).round(2)
    return pd.DataFrame(
        {
            "invoice_id": np.arange(1, INVOICES + 1),
            "account_id": owner + 1,
            "issued": issued,
            "due": issued + np.timedelta64(14, "D"),
            "amount": amount,
            "late": account["late"].to_numpy()[owner],
        }
    )


def _payments(rng: np.random.Generator, account: pd.DataFrame, invoice: pd.DataFrame) -> pd.DataFrame:
    """Of most invoices; those of late payers come after the due date, and the missing ones are theirs."""
    late = invoice["late"].to_numpy()
    unpaid = rng.choice(INVOICES, INVOICES - PAYMENTS, replace=False, p=(late + 0.01) / (late + 0.01).sum())
    paid = np.setdiff1d(np.arange(INVOICES), unpaid)
    rows, is_late = invoice.iloc[paid], rng.random(PAYMENTS) < late[paid]
    autopay = account["autopay"].to_numpy()[rows["account_id"].to_numpy() - 1]
    delay = np.where(is_late, 15 + rng.gamma(1.5, 12, PAYMENTS), np.where(autopay, 10, rng.uniform(1, 14, PAYMENTS)))
    method = np.where(autopay, "direct debit", rng.choice(["card", "transfer", "cash"], PAYMENTS, p=[0.6, 0.33, 0.07]))
    return pd.DataFrame(
        {
            "payment_id": np.arange(1, PAYMENTS + 1),
            "invoice_id": rows["invoice_id"].to_numpy(),
            "paid": rows["issued"].to_numpy("datetime64[D]") + delay.astype(int).astype("timedelta64[D]"),
            "amount": rows["amount"].to_numpy(),
            "method": method,
        }
    )


def _days(first: np.datetime64, after: np.ndarray) -> np.ndarray:
    made: np.ndarray = first + after.astype(int).astype("timedelta64[D]")
    return made


def main(path: Path) -> None:
    """Write the file, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    with closing(sqlite3.connect(partial)) as database:
        database.executescript(DDL)
        for name, rows in tables().items():
            for column in rows.select_dtypes("datetime"):
                rows[column] = rows[column].dt.strftime("%Y-%m-%d")
            rows.to_sql(name, database, if_exists="append", index=False)
        database.commit()
    partial.replace(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("telecom.db"))
