"""The load of the driver's machine, logged while a run lasts."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

_LOG = logging.getLogger(__name__)


@contextmanager
def system_metrics(
    log: Callable[[Mapping[str, float], int], None], seconds: float, sample: Callable[[], Mapping[str, float]]
) -> Iterator[None]:
    """Log a sample every so many seconds, and one at the end of the block. A sample that fails ends the series."""
    ended = threading.Event()

    def watch() -> None:
        step, last = 0, False
        while not last:
            last = ended.wait(seconds)
            try:
                log(sample(), step)
            except Exception as error:
                _LOG.info("no more system metrics: %s", error)
                return
            step += 1

    thread = threading.Thread(target=watch, name="system-metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
