"""A master and two workers, and an undisturbed run on them that what comes of faults is compared with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.left import assert_as_undisturbed, assert_nothing_left, assert_written_once
from tests.cluster.machines import cluster
from tests.cluster.orders import OPTIONS, make_source
from tests.cluster.processes import Driver, start


@dataclass(frozen=True)
class Site:
    """A cluster, with the folder of its machines; a source; the output of an undisturbed run, `whole` its database."""

    master: str
    machines: Path
    source: Path
    output: Path

    @property
    def whole(self) -> Path:
        """The undisturbed database."""
        return self.output / "whole"

    def start(self, command: str, identifier: str, folder: Path, output: Path | None = None, **more: object) -> Driver:
        """Start a command on the cluster; its own files go to `folder`, which is new."""
        options = {
            "source.path": self.source,
            "schema": self.source / "schema.yaml",
            "output": output or self.output,
            "generate.identifier": identifier,
            **OPTIONS,
            **{k.replace("__", "."): v for k, v in more.items()},
        }
        return start(self.master, command, options, folder)

    def assert_sound(self, identifier: str, *drivers: Driver, output: Path | None = None) -> None:
        """The database is as the undisturbed one, each table was written once, and nothing is left behind."""
        output = output or self.output
        assert_written_once(output / identifier)
        assert_as_undisturbed(output / identifier, self.whole)
        assert_nothing_left(output, identifier, self.machines, *drivers)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two workers with a core each, and a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("site")
    machines = folder / "machines"
    machines.mkdir()
    with cluster(machines, [[], []], cores=1) as master:
        found = Site(master, machines, make_source(folder / "source"), folder / "out")
        driver = found.start("run", "whole", folder / "driver")
        assert driver.end() == 0, driver.err
        assert driver.out.splitlines()[-1] == str(found.whole)
        found.assert_sound("whole", driver)
        yield found
