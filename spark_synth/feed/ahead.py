"""Batches made ready while the GPU is busy with the ones before."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import Queue

from spark_synth.models.batch import FamilyBatch

DEPTH = 4  # batches that wait at most


class Ahead:
    """The same batches in the same order, made by a thread of their own; a context manager, which ends the thread.

    For a GPU: a CPU that trains has nothing to gain, as the thread would take its core. pinned: the batches lie in
    pinned memory, from which they are copied to the GPU while it works.
    """

    def __init__(self, batches: Iterator[FamilyBatch], pinned: bool) -> None:
        self._batches, self._pinned, self._ended = batches, pinned, False
        self._ready: Queue[FamilyBatch | BaseException | None] = Queue(DEPTH)
        self._thread = threading.Thread(target=self._fill, daemon=True)

    def __enter__(self) -> Iterator[FamilyBatch]:
        self._thread.start()
        return self._taken()

    def __exit__(self, *exc: object) -> None:
        self._ended = True
        while self._thread.is_alive():
            if not self._ready.empty():
                self._ready.get()
            self._thread.join(0.01)

    def _fill(self) -> None:
        try:
            for batch in self._batches:
                self._ready.put(batch.pinned() if self._pinned else batch)
                if self._ended:
                    return
            self._ready.put(None)
        except BaseException as error:  # noqa: BLE001 - handed to the thread that trains
            self._ready.put(error)

    def _taken(self) -> Iterator[FamilyBatch]:
        while (found := self._ready.get()) is not None:
            if isinstance(found, BaseException):
                raise found
            yield found
