"""A server over a daemon that is only memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from memory_backend import MemoryBackend

from appliance.api.client import Client
from appliance.api.server import ApiServer


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend()


@pytest.fixture
async def server(backend: MemoryBackend, tmp_path: Path) -> AsyncGenerator[ApiServer]:
    server = ApiServer(backend, tmp_path / "api.sock")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def client(server: ApiServer) -> Client:
    return Client(server.path, timeout_s=5)
