"""Files in the folder of a Delta table that no commit names: what killed tasks and failed commits have left there.

Delta removes them by VACUUM alone, days later, since another writer may be about to commit them. The tables of a run
have one writer, which knows when it is done.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from pyspark.sql import Row, SparkSession

HISTORY = ("version", "userMetadata", "operationParameters", "operationMetrics")
_LOG = "/_delta_log/"
_DATA = re.compile(r"part-\d{5}-[0-9a-f-]{36}\S*\.parquet")  # as Spark names what a task writes
_COMMIT = re.compile(r"\.\d{20}\.json\.\S+\.tmp")  # as Delta names a commit on its way to a local disk


def remove_leftovers(spark: SparkSession, folder: str, history: Sequence[Row] | None, app_id: str) -> list[str]:
    """Remove data files and halves of commits that no commit of the table names; their paths.

    history: HISTORY of the commits of the table, None where there is no table. Nothing is done unless all of them, from
    the first on, bear the name of `app_id`: others may have written files that only they know of, or need older ones.
    """
    commits = history or []
    if not _all_ours(commits, app_id):
        return []
    jvm: Any = spark._jvm
    root = jvm.org.apache.hadoop.fs.Path(folder)
    files = root.getFileSystem(spark._jsc.hadoopConfiguration())
    found = list(_files(files, root))
    left = [p for p in found if _LOG in _path(p)]
    if len(found) - len(left) != _named(commits):  # else there is none too many, which is known without the table's log
        named = {f for version in _fullest(commits) for f in _data_files(spark, folder, version)}
        left += [p for p in found if _LOG not in _path(p) and _path(p) not in named]
    for path in left:
        files.delete(path, False)
    return [_path(p) for p in left]


def _all_ours(commits: Sequence[Row], app_id: str) -> bool:
    ours = all((c["userMetadata"] or "").rpartition("@")[0] == app_id for c in commits)
    return ours and {c["version"] for c in commits} == set(range(len(commits)))


def _named(commits: Sequence[Row]) -> int:
    """How many data files commits of ours have ever named, by their own count; -1 where one does not tell."""
    counts = [(c["operationMetrics"] or {}).get("numFiles", "-1") for c in commits]
    return -1 if "-1" in counts else sum(map(int, counts))


def _fullest(commits: Sequence[Row]) -> list[int]:
    """Versions of the table that name, together, all data files that were ever named: the last one, and those before
    rows were replaced, since all other commits of ours only add."""
    replaced = [c["version"] for c in commits if (c["operationParameters"] or {}).get("mode") == "Overwrite"]
    return [v - 1 for v in replaced if v] + [max(c["version"] for c in commits)] if commits else []


def _data_files(spark: SparkSession, folder: str, version: int) -> set[str]:
    rows = spark.read.format("delta").option("versionAsOf", version).load(folder)
    return {unquote(urlsplit(f).path) for f in rows.inputFiles()}


def _files(files: Any, root: Any) -> Iterator[Any]:  # noqa: ANN401 - objects of Hadoop
    """The data files and halves of commits below `root`, named in the log or not."""
    if not files.exists(root):
        return
    found = files.listFiles(root, True)
    while found.hasNext():
        path = found.next().getPath()
        if (_COMMIT if _LOG in _path(path) else _DATA).fullmatch(path.getName()):
            yield path


def _path(path: Any) -> str:  # noqa: ANN401
    return str(path.toUri().getPath())
