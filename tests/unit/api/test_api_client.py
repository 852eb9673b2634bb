"""The client library against a real server, and against things that are none."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
from memory_backend import AWAY, CLINIC, PUMP, MemoryBackend

from appliance.api import paths
from appliance.api.client import (
    Client,
    Connected,
    ConnectionLost,
    Disconnected,
    NotRunning,
    RequestError,
    event_data,
)
from appliance.api.errors import NotYetRunning
from appliance.api.paths import trouble_path
from appliance.api.routes import EVENTS, ROUTES
from appliance.api.schema import Event, Message
from appliance.api.server import ApiServer
from appliance.api.unix_http import upload


async def test_stations_and_name(client: Client, backend: MemoryBackend) -> None:
    assert await client.status() == backend.status()
    assert (await client.set_name("north gate")).name == "north gate"
    assert await client.stations() == backend.stations()
    assert (await client.station("pump house/south")).id == PUMP
    await client.add_peer("fe80::1%eth0", 7000, timeout_s=3.0)
    assert backend.asked[-1] == ("add_peer", "fe80::1%eth0", 7000, 3.0)
    with pytest.raises(RequestError) as caught:
        await client.station("nobody")
    assert (caught.value.status, caught.value.code) == (404, "unknown-station")
    with pytest.raises(RequestError, match="Several"):
        await client.station("k7qd")
    assert [check.result for check in await client.doctor()] == ["ok", "warn"]
    assert (await client.links())[0].neighbours[0].station == CLINIC


async def test_a_link_whose_name_is_no_text_is_told(
    client: Client, backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = backend.links()[0]
    monkeypatch.setattr(backend, "links", lambda: (replace(link, name="eth\udcff"),))
    assert [one.name for one in await client.links()] == ["eth?"]


async def test_messages_and_drafts(client: Client, backend: MemoryBackend) -> None:
    text = "\U0001f600" * 16_000
    sent = await client.send("clinic", text, precedence="priority", lifetime_s=60)
    assert sent.text == text
    assert (await client.message(sent.id)).state == "delivered"
    for number in range(5):
        backend.store(CLINIC, str(number), author=CLINIC)
    page = await client.messages(CLINIC, limit=2)
    assert [message.text for message in page.messages] == ["3", "4"]
    assert page.more
    page = await client.messages(before=page.messages[0].order, limit=2)
    assert [message.text for message in page.messages] == ["1", "2"]
    assert await client.mark_read(CLINIC, up_to=page.messages[-1].order) == 3
    assert (await client.status()).unread == 2
    await client.set_draft(AWAY, "When you are back")
    assert await client.draft(AWAY) == "When you are back"
    with pytest.raises(RequestError, match="no characters"):
        await client.send("clinic", "\udcff")


async def test_calls_verification_and_sound(client: Client, backend: MemoryBackend) -> None:
    call = await client.call("clinic", play="/tmp/a.wav")
    assert (await client.set_call(call.id, muted=True, volume_pct=150)).muted
    assert (await client.hang_up(call.id)).end_reason == "hung-up"
    with pytest.raises(RequestError, match="whole path"):
        await client.call("clinic", record="a.wav")
    ringing = backend.new_call(CLINIC, outgoing=False)
    assert (await client.answer(ringing.id)).state == "talking"
    assert len(await client.calls()) == 2
    begun = await client.verify("clinic")
    assert (await client.finish_verification(begun.id, match=True)).state == "verified"
    assert (await client.verifications())[0].digits == "482917"
    assert (await client.verify("clinic", spoken_id=CLINIC)).state == "verified"
    assert (await client.set_sound(input_device="mic", output_device=None)).input == "mic"
    assert (await client.sound()).output is None
    assert (await client.test_sound()).output_ok


async def test_the_index_lists_what_there_is(client: Client) -> None:
    index = await client.index()
    assert len(index.endpoints) == len(ROUTES) + 1
    assert index.endpoints[-1] == EVENTS
    assert all(endpoint.text.endswith(".") for endpoint in index.endpoints)


async def test_an_event_holds_its_shape(client: Client, backend: MemoryBackend) -> None:
    async with asyncio.timeout(5), aclosing(client.events()) as events:
        assert event_data(await anext(events)) is None
        stored = backend.store(CLINIC, "Hello", author=CLINIC)
        data = event_data(await anext(events))
        assert isinstance(data, Message)
        assert data == stored
        backend.log.publish("status")
        assert event_data(await anext(events)) == backend.status()


async def test_a_follower_sees_the_daemon_go_and_come_back(
    server: ApiServer, backend: MemoryBackend, client: Client
) -> None:
    async with asyncio.timeout(10), aclosing(client.follow()) as items:
        assert isinstance(await anext(items), Connected)
        assert await anext(items) == Event("b0-0", "reset", {})
        backend.store(CLINIC, "one", author=CLINIC)
        await anext(items)
        await server.stop()
        gone = await anext(items)
        assert isinstance(gone, Disconnected)
        assert isinstance(gone.error, ConnectionLost)
        backend.store(CLINIC, "two", author=CLINIC)
        again = ApiServer(backend, server.path)
        await again.start()
        try:
            assert isinstance(await anext(items), Connected)
            resumed = await anext(items)
            assert isinstance(resumed, Event)
            assert resumed.data["text"] == "two"
        finally:
            await again.stop()


async def test_no_daemon_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match=r"No daemon is running at .*Start it with"):
        await Client(tmp_path / "api.sock").status()


async def test_the_reason_why_there_is_no_daemon_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "api.sock"
    monkeypatch.setattr("appliance.api.unix_http.SERVICE_SOCKET", path)
    with pytest.raises(NotYetRunning, match="wait a minute"):
        await Client(path).status()
    trouble_path(path).write_text("The card can't be used.")
    with pytest.raises(NotRunning, match="The card") as raised:
        await Client(path).status()
    assert not isinstance(raised.value, NotYetRunning)


async def test_a_socket_that_speaks_something_else_is_no_surprise(tmp_path: Path) -> None:
    answers = [
        b"",
        b"SSH-2.0-nonsense\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answers[0])
        writer.close()
        await writer.wait_closed()

    listener = await asyncio.start_unix_server(serve, str(tmp_path / "s"))
    async with listener:
        while answers:
            with pytest.raises((ConnectionLost, RequestError)):
                await Client(tmp_path / "s", timeout_s=2).status()
            with pytest.raises((ConnectionLost, RequestError)):
                async for _ in Client(tmp_path / "s", timeout_s=2).events():
                    pass
            answers.pop(0)


async def test_a_file_that_cannot_be_read_is_no_fault_of_the_daemon(
    client: Client, tmp_path: Path
) -> None:
    (tmp_path / "short").write_bytes(b"shorter")
    with (tmp_path / "short").open("rb") as source:
        async with asyncio.timeout(5):  # not until the daemon gives up
            with pytest.raises(OSError, match="shorter"):
                await upload(
                    client.path, "/v1/attachments?name=a&type=a/b", source, 1_000, timeout_s=5
                )


async def test_a_daemon_that_hangs_is_given_up(tmp_path: Path) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_unix_server(hang, str(tmp_path / "s")):
        with pytest.raises(ConnectionLost, match="does not answer"):
            await Client(tmp_path / "s", timeout_s=0.1).status()


def test_where_the_socket_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: ApiServer
) -> None:
    for name in ("FENCEWIRE_API", "FENCEWIRE_STATE", "RUNTIME_DIRECTORY", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(paths, "SERVICE_SOCKET", tmp_path / "none.sock")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "run/user/0")  # relative, so not valid
    state = tmp_path / ".local/state/fencewire"
    assert paths.default_state_dir() == state
    assert paths.default_api_path() == state / "api.sock"
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/0")
    assert paths.daemon_api_path() == Path("/run/user/0/fencewire/api.sock")
    assert paths.default_api_path() == Path("/run/user/0/fencewire/api.sock")
    monkeypatch.setenv("FENCEWIRE_STATE", str(tmp_path))  # where a daemon answers
    assert paths.default_api_path() == server.path
    monkeypatch.setattr(paths, "SERVICE_SOCKET", server.path)
    monkeypatch.setenv("FENCEWIRE_STATE", "/nowhere")
    assert paths.default_api_path() == server.path
    monkeypatch.setenv("FENCEWIRE_API", "/tmp/mine.sock")
    assert paths.default_api_path() == Path("/tmp/mine.sock")
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/fencewire")
    monkeypatch.delenv("FENCEWIRE_API")
    assert paths.daemon_api_path() == Path("/run/fencewire/api.sock")
