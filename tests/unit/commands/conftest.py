"""Commands as programs of their own, against a server in the test's process."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest
from fencewire_program import Fencewire
from memory_backend import MemoryBackend

from appliance.api.server import ApiServer


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend()


@pytest.fixture
def fencewire(tmp_path: Path) -> Iterator[Fencewire]:
    fencewire = Fencewire(tmp_path)
    yield fencewire
    fencewire.end()


@pytest.fixture
async def server(backend: MemoryBackend, fencewire: Fencewire) -> AsyncGenerator[ApiServer]:
    server = ApiServer(backend, fencewire.folder / "api.sock")
    await server.start()
    yield server
    await server.stop()
