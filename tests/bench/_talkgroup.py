"""A talk group of real stations on a grid: what each link carries, and how soon all hear."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from _stations import listed, village
from _tone import tone_file

from appliance.api.client import Client
from appliance.api.talking import TalkInfo
from appliance.village.village import Village

EVERYONE = "everyone"
GRID = "grid:4x4"
PRESSES = 10
WINDOW_S = 5.0
TONE_S = 120.0
MEET_S = 120.0
SETTLE_S = 60.0
"""For routes to become straight: while they settle, a neighbour may be reached around a corner."""

PAUSE_S = 0.8
"""Between two presses: what is on its way is played to its end."""

_LOOK_EVERY_S = 0.02
_WITHIN_S = 20.0


@dataclass(frozen=True)
class TalkGroup:
    """What was measured."""

    stations: int
    """With the speaker."""

    bytes_ratio: float
    """The most that any link carried of sound when all listened, against one listener's."""

    farthest_ms: tuple[float, ...]
    """For each press: from the command to sound at the last of all stations."""

    speaker_ms: tuple[float, ...]
    """Of that, until the speaker's voice process took the first sound."""


def count_voice(up: Village) -> None:
    """Count from now on what comes in with the mark of sound (DSCP EF) at every cable end."""
    for name in up.topology.stations:
        chains = "".join(
            f'chain {plug.interface} {{ type filter hook ingress device "{plug.interface}" '
            f'priority 0; ip6 dscp ef udp length > 100 counter comment "{plug.interface}"; }}\n'
            for plug in up.topology.plugs(name)
        )
        table = f"table netdev talkcount {{\n{chains}}}\n"
        up.exec(name, ["nft", "-f", "-"], stdin=table, check=True)


def voice_bytes(up: Village) -> dict[tuple[str, str], int]:
    """Bytes that each cable end has received since `count_voice`, by station and interface."""
    counted: dict[tuple[str, str], int] = {}
    for name in up.topology.stations:
        listed = up.exec(name, ["nft", "list", "table", "netdev", "talkcount"], check=True)
        for line in listed.stdout.splitlines():
            if "counter packets" in line:
                words = line.split()
                interface = words[words.index("comment") + 1].strip('"')
                counted[name, interface] = int(words[words.index("bytes") + 1])
    return counted


async def channel(client: Client, name: str = EVERYONE) -> TalkInfo:
    """A channel as a station sees it."""
    return next(one for one in await client.channels() if name in (one.channel, one.name))


async def _sounded_at(client: Client, speaker: str) -> float:
    async with asyncio.timeout(_WITHIN_S):
        while True:
            found = await channel(client)
            if found.speaker == speaker and found.sounded_at_s is not None:
                return found.sounded_at_s
            await asyncio.sleep(_LOOK_EVERY_S)


async def _quiet(client: Client) -> None:
    async with asyncio.timeout(_WITHIN_S):
        while True:
            if (await channel(client)).speaker is None:
                return
            await asyncio.sleep(_LOOK_EVERY_S)


async def _press(clients: Mapping[str, Client], speaker: str, tone: str) -> tuple[float, float]:
    """Press, wait until all hear, let go; seconds to the first sound here, and at the last."""
    own = (await clients[speaker].status()).id
    pressed = time.monotonic()
    await clients[speaker].press(EVERYONE, play=tone)
    await asyncio.sleep(0.5)  # no questions while it is on its way
    at = {name: await _sounded_at(client, own) for name, client in clients.items()}
    await clients[speaker].release(EVERYONE)
    for client in clients.values():
        await _quiet(client)
    await asyncio.sleep(PAUSE_S)
    return at[speaker] - pressed, max(at.values()) - pressed


async def straight(up: Village, addresses: Mapping[str, str]) -> None:
    """Wait until every cable is the way between its ends, as the kernel sees it at both.

    While routes settle, packets to a neighbour may go around over a third station, and come over
    its cables once more.  `addresses`: of the stations in the mesh.
    """
    for cable in up.topology.cables:
        for here, there in ((cable.a, cable.b), (cable.b, cable.a)):
            assert here is not None
            assert there is not None
            route = ["ip", "-6", "route", "get", addresses[there.station]]
            async with asyncio.timeout(SETTLE_S):
                while True:
                    said = await asyncio.to_thread(up.exec, here.station, route)
                    if f" dev {here.interface} " in said.stdout:
                        break
                    await asyncio.sleep(10 * _LOOK_EVERY_S)


async def _carried(
    up: Village, clients: Mapping[str, Client], speaker: str, tone: str, hold_s: float
) -> float:
    """Bytes per second of a whole spurt on the link that carries most of it."""
    before = await asyncio.to_thread(voice_bytes, up)
    pressed = time.monotonic()
    await clients[speaker].press(EVERYONE, play=tone)
    await asyncio.sleep(hold_s)
    await clients[speaker].release(EVERYONE)
    held_s = time.monotonic() - pressed
    for client in clients.values():
        await _quiet(client)
    await asyncio.sleep(PAUSE_S)
    after = await asyncio.to_thread(voice_bytes, up)
    return max(after[end] - before[end] for end in after) / held_s


async def talk_group(
    topology: str = GRID, *, presses: int = PRESSES, window_s: float = WINDOW_S
) -> TalkGroup:
    """Measure a talk group in which the first station speaks and the last is the farthest."""
    with tempfile.TemporaryDirectory() as scratch:
        tone = str(tone_file(Path(scratch) / "tone.wav", TONE_S))
        async with village(topology, net=True) as up, AsyncExitStack() as stack:
            names = up.topology.stations
            clients = {
                name: await stack.enter_async_context(Client(up.station(name).api))
                for name in names
            }
            await asyncio.gather(
                *(listed(one, len(names) - 1, within_s=MEET_S) for one in clients.values())
            )
            statuses = {name: await client.status() for name, client in clients.items()}
            await straight(up, {name: status.address for name, status in statuses.items()})
            for name in names:
                await clients[name].listen(EVERYONE, record=str(Path(scratch) / f"{name}.wav"))
            speaker, farthest = names[0], names[-1]
            await _press(clients, speaker, tone)  # opens the file, which takes longer than a press
            took = [await _press(clients, speaker, tone) for _ in range(presses)]
            await asyncio.to_thread(count_voice, up)
            everybody = await _carried(up, clients, speaker, tone, window_s)
            for name in names:
                if name not in {speaker, farthest}:
                    await clients[name].listen(EVERYONE, on=False)
            one = await _carried(up, clients, speaker, tone, window_s)
    return TalkGroup(
        stations=len(names),
        bytes_ratio=everybody / one,
        farthest_ms=tuple(last * 1000 for _, last in took),
        speaker_ms=tuple(first * 1000 for first, _ in took),
    )
