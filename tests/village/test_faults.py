"""What goes wrong in the field, done to real daemons: kills, cables, disks, clocks, garbage.

Each time nothing that was confirmed is lost, what happened is said, and all works again by itself.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from seats import (
    AGAIN_WITHIN_S,
    Seat,
    delivered,
    eventually,
    meet,
    pair,
    talk,
    write_to_each_other,
)
from speech import long_speech, needs_speech

from appliance.api.errors import RequestError
from appliance.api.schema import CallInfo
from appliance.village import launch
from appliance.village.errors import VillageError

pytestmark = [pytest.mark.village, pytest.mark.usefixtures("may_make_namespaces")]

TEN_YEARS_S = 10 * 365 * 86_400


# -- kill -9


@pytest.mark.parametrize("victim", ["a", "b"])
async def test_no_kill_loses_or_doubles_a_message(
    tmp_path_factory: pytest.TempPathFactory, victim: str
) -> None:
    async with pair(tmp_path_factory.mktemp("v"), daemons=False) as (a, b):
        village = a.village

        async def kill(*names: str) -> None:
            for name in names:
                village.kill(name)
            for name in names:
                village.start(name)

        for name in "ab":
            village.start(name)
        await kill(victim)  # before or while the first session is made
        await meet(a, b)
        ids = a.id, b.id
        texts = [f"Number {number}" for number in range(20)]
        first = [await a.client.send(b.id, text) for text in texts[:10]]
        await kill(victim)  # some are queued, some on their way, some delivered
        later = [await a.client.send(b.id, text) for text in texts[10:]]
        for message in (*first, *later):
            await delivered(a, message.id)
        await kill(victim)  # what was delivered stays so
        page = await b.client.messages(a.id)
        assert [message.text for message in page.messages] == texts
        await b.client.mark_read(a.id, up_to=page.messages[-1].order)
        await kill(victim)  # the receipts may have left or not
        for message in (*first, *later):
            await eventually(partial(a.message_in, message.id, "read"), within_s=AGAIN_WITHIN_S)
        await kill("a", "b")
        await meet(a, b, within_s=AGAIN_WITHIN_S)
        assert (a.id, b.id) == ids
        assert [message.text for message in (await b.client.messages(a.id)).messages] == texts
        states = {message.state for message in (await a.client.messages(b.id)).messages}
        assert states == {"read"}


@needs_speech
@pytest.mark.parametrize("victim", ["a", "b"])
async def test_a_kill_while_it_rings_is_said_and_the_next_call_works(
    two: tuple[Seat, Seat], tmp_path: Path, victim: str
) -> None:
    a, b = two
    other = b if victim == "a" else a
    speech = long_speech(tmp_path / "speech.wav", times=1)
    files = {"play": (speech, speech), "record": (tmp_path / "a.wav", tmp_path / "b.wav")}
    # Calls of who is known are written at once; those of strangers share a commit.
    await write_to_each_other(a, b)

    async with other.diary() as diary:
        await a.client.call(b.id)
        await eventually(b.ringing)
        # Before its caller has heard that it rings, a call to who starts again just goes on.
        await eventually(lambda: a.call_in("ringing-there"))
        a.village.kill(victim)
        a.village.start(victim)
        over = await diary.first(CallInfo, lambda c: c.state == "ended")
        assert over.end_reason in {"cancelled", "unreachable"}
    # Whoever was called knows of it, also where it died while it rang.
    missed = await eventually(partial(missed_by, b))
    assert [one.station for one in missed] == [a.id]

    async def counted() -> bool:
        return (await b.client.status()).missed_calls == 1

    await eventually(counted)  # counts follow what they count
    assert await b.client.see_calls(missed[0].number) == 1
    assert (await b.client.past_calls(missed=True)).calls[0].seen
    await meet(a, b)
    ours, _ = await talk(a, b, **files)
    await a.client.hang_up(ours.id)


# -- Links


async def test_an_interface_goes_down_and_comes_back(two: tuple[Seat, Seat]) -> None:
    a, b = two
    b.village.exec("b", ["ip", "link", "set", "eth0", "down"], check=True)

    async def no_network(seat: Seat, *, wanted: bool) -> bool:
        return ("no-network" in await seat.problems()) == wanted

    await eventually(partial(no_network, b, wanted=True))
    sent = await a.client.send(b.id, "Are you there?")
    b.village.exec("b", ["ip", "link", "set", "eth0", "up"], check=True)
    b.village.exec(
        "b", ["ip", "address", "replace", f"{b.info.addresses[0]}/24", "dev", "eth0"], check=True
    )
    await eventually(partial(no_network, b, wanted=False))
    await delivered(a, sent.id)
    await meet(a, b, within_s=AGAIN_WITHIN_S)
    await write_to_each_other(a, b)


@pytest.mark.parametrize("kind", ["ipv4-only", "ipv6-only"])
async def test_an_address_changes(tmp_path_factory: pytest.TempPathFactory, kind: str) -> None:
    async with pair(tmp_path_factory.mktemp("v"), daemons=False) as (a, b):
        village = a.village
        for name in "ab":
            if kind == "ipv4-only":
                switch = "net.ipv6.conf.all.disable_ipv6=1"
                village.exec(name, ["sysctl", "-w", switch], check=True)
            else:
                village.exec(name, ["ip", "-4", "address", "flush", "dev", "eth0"], check=True)
            village.start(name)
        await meet(a, b)
        address = "10.0.1.77/24" if kind == "ipv4-only" else "fe80::77/64"
        for change in (["flush", "dev", "eth0"], ["add", address, "dev", "eth0", "nodad"]):
            words = [word for word in change if kind != "ipv4-only" or word != "nodad"]
            village.exec("b", ["ip", "address", *words], check=True)
        new = address.partition("/")[0]

        async def met_there() -> bool:
            station = await a.sees(b)
            return station is not None and (station.host or "").partition("%")[0] == new

        await eventually(met_there, within_s=AGAIN_WITHIN_S)
        await write_to_each_other(a, b)


# -- Disk


@pytest.mark.parametrize("full", ["a", "b"])
async def test_a_full_disk_is_said_and_nothing_is_half_written(
    tmp_path_factory: pytest.TempPathFactory, full: str
) -> None:
    async with pair(tmp_path_factory.mktemp("v"), daemons=False) as (a, b):
        village, seat = a.village, a if full == "a" else b
        mount = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", str(seat.info.state)]
        village.exec(full, mount, check=True)
        for name in "ab":
            village.start(name)
        await meet(a, b)
        await write_to_each_other(a, b)
        filler = seat.info.state / "filler"
        village.exec(full, ["sh", "-c", f"cat /dev/zero > {filler}"])
        text = "x" * 8_000  # more than a page that may still be free in the log
        if full == "a":
            with pytest.raises(RequestError) as refused:
                await send_often(a, b, text)
            assert (refused.value.status, refused.value.code) == (507, "not-stored")
            assert "disk" in await a.problems()
            before = (await a.client.messages(b.id, limit=200)).messages
        else:
            await write_until(a, b, text, partial(has_problem, b, "disk"))
            waiting = [m for m in (await a.client.messages(b.id)).messages if m.state == "queued"]
            assert waiting
        village.exec(full, ["rm", str(filler)], check=True)
        if full == "a":
            village.restart("a")
            await meet(a, b)
            assert (await a.client.messages(b.id, limit=200)).messages[-1].id == before[-1].id
        else:
            await delivered(a, waiting[0].id)
        await write_to_each_other(a, b)
        assert "disk" not in await seat.problems()
        for one in (await a.client.messages(b.id, limit=200)).messages:
            await delivered(a, one.id) if one.outgoing else None


async def send_often(author: Seat, reader: Seat, text: str) -> None:
    for _ in range(100):
        await author.client.send(reader.id, text)


async def write_until(
    author: Seat, reader: Seat, text: str, done: Callable[[], Awaitable[bool]]
) -> None:
    """Write until something is the case, a message at a time, each given a moment to arrive."""
    for _ in range(30):
        await author.client.send(reader.id, text)
        with suppress(AssertionError):
            await eventually(done, within_s=0.5)
            return
    raise AssertionError("it did not come about")


async def missed_by(seat: Seat) -> tuple[CallInfo, ...]:
    return (await seat.client.past_calls(missed=True)).calls


async def has_problem(seat: Seat, code: str) -> bool:
    return code in await seat.problems()


# -- Clock


@pytest.fixture
def wrong_clock(tmp_path: Path) -> Path:
    """A library that makes the wall clock of a program wrong."""
    library = tmp_path / "wrong_clock.so"
    source = Path(__file__).with_name("wrong_clock.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O", "-o", library, source], check=True)
    return library


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@pytest.mark.parametrize("offset_s", [-TEN_YEARS_S, TEN_YEARS_S], ids=["slow", "fast"])
async def test_a_clock_that_is_ten_years_wrong_stops_and_reorders_nothing(
    tmp_path_factory: pytest.TempPathFactory, wrong_clock: Path, offset_s: int
) -> None:
    script = (
        f'if [ "$0" = b ]; then export LD_PRELOAD={wrong_clock} CLOCK_OFFSET_S={offset_s}; fi; '
        'exec "$3" -P -m appliance run --state "$1" --api "$2"'
    )
    command = ["sh", "-c", script, "{name}", "{state}", "{api}", sys.executable]
    async with pair(tmp_path_factory.mktemp("v"), command=command) as (a, b):
        right, wrong = [(await seat.client.status()).clock.ms for seat in (a, b)]
        assert abs(wrong - right - 1000 * offset_s) < 60_000
        expected = []
        for number in range(5):
            for author, reader in ((a, b), (b, a)):
                text = f"{author.name} {number}"
                expected.append(text)
                sent = await author.client.send(reader.id, text)
                # As fast as with right clocks: what waits for anything waits seconds.
                await delivered(author, sent.id, within_s=2)
        for seat, other in ((a, b), (b, a)):
            page = await seat.client.messages(other.id)
            assert [message.text for message in page.messages] == expected
        b.village.restart("b")
        await meet(a, b)
        await write_to_each_other(a, b)
        page = await b.client.messages(a.id)
        assert [message.text for message in page.messages][: len(expected)] == expected


# -- Copies


async def test_a_copied_state_directory_is_noticed_and_said_on_both(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async with pair(tmp_path_factory.mktemp("v"), daemons=False) as (a, b):
        a.village.start("a")
        a.village.stop("a")
        shutil.copytree(a.info.state, b.info.state, dirs_exist_ok=True)
        for seat in (a, b):
            a.village.start(seat.name)
            await seat.sit()
        assert a.id == b.id
        for seat in (a, b):
            await eventually(partial(has_problem, seat, "copied-key"))


async def test_a_second_daemon_on_a_state_directory_refuses(two: tuple[Seat, Seat]) -> None:
    a, b = two
    # launch.daemon_command has a's own state and another API socket in its place.
    words = {"{state}": str(a.info.state), "{api}": str(a.info.api.with_name("second.sock"))}
    second = [words.get(word, word) for word in launch.daemon_command()]
    done = await asyncio.to_thread(a.village.exec, "a", second)
    assert done.returncode == 1
    assert "already" in done.stderr
    assert "Traceback" not in done.stderr
    await write_to_each_other(a, b)


async def test_a_damaged_key_is_never_replaced(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async with pair(tmp_path_factory.mktemp("v"), daemons=False) as (a, _):
        a.village.start("a")
        a.village.stop("a")
        key = a.info.state / "station.key"
        good = key.read_bytes()
        for bad in (good[:-1] + b"\0", good[:20], b""):
            key.write_bytes(bad)
            with pytest.raises(VillageError, match=r"station\.key is damaged. Put a backup"):
                a.village.start("a")
            assert a.village.status()["stations"][0]["exit_status"] == 1
            assert key.read_bytes() == bad
        key.write_bytes(good)
        a.village.start("a")
