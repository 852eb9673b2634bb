"""Talk groups among real stations, as tests and benches look at them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from functools import partial

from mesh_seats import Seats, hops_become
from seats import Seat, eventually

from appliance.api.talking import TalkInfo
from appliance.village.village import Village

EVERYONE = "everyone"


async def channel(seat: Seat, name: str = EVERYONE) -> TalkInfo:
    """A channel as a station sees it."""
    return next(one for one in await seat.client.channels() if name in (one.channel, one.name))


async def sounds(seat: Seat, speaker: str, name: str = EVERYONE) -> TalkInfo | None:
    """The channel, if this station's sound is heard or spoken there."""
    found = await channel(seat, name)
    there = found.speaker == speaker and found.sounded_at_s is not None
    return found if there else None


async def all_sound(
    seats: Iterable[Seat], speaker: Seat, name: str = EVERYONE, *, within_s: float = 10.0
) -> dict[str, float]:
    """When the first of what is said sounded at each station, on the monotonic clock."""
    at: dict[str, float] = {}
    for seat in seats:
        found = await eventually(partial(sounds, seat, speaker.id, name), within_s=within_s)
        assert found is not None
        assert found.sounded_at_s is not None
        at[seat.name] = found.sounded_at_s
    return at


async def straight(seats: Seats) -> None:
    """Return when every cable is the way between its ends, in both directions.

    While routes settle, packets to a neighbour may go around over a third station, and come over
    its cables once more.
    """
    for cable in next(iter(seats.values())).village.topology.cables:
        a, b = (seats[name] for name in cable.ends)
        await hops_become(a, b, 1)
        await hops_become(b, a, 1)


async def nobody_talks(seat: Seat, name: str = EVERYONE) -> bool:
    return (await channel(seat, name)).speaker is None


async def key_to_sound_s(seats: Seats, speaker: Seat, *, play: str) -> dict[str, float]:
    """Press a key, wait for sound everywhere and let go; seconds from key to sound by station.

    `play` goes on from one time to the next: the first time it has to be opened, which takes a
    fifth of a second that no microphone does.
    """
    pressed = time.monotonic()
    await speaker.client.press(EVERYONE, play=play)
    at = await all_sound(seats.values(), speaker)
    await speaker.client.release(EVERYONE)
    for seat in seats.values():
        await eventually(partial(nobody_talks, seat))
    await asyncio.sleep(0.7)  # what is on its way is played to its end
    return {name: sounded - pressed for name, sounded in at.items()}


def voice_bytes(village: Village) -> dict[tuple[str, str], int]:
    """Bytes that each cable end has received in the kernel's voice class, by station and port.

    Counted by rules that `count_voice` has put there.
    """
    counted: dict[tuple[str, str], int] = {}
    for name in village.topology.stations:
        listed = village.exec(name, ["nft", "list", "table", "netdev", "talkcount"], check=True)
        for line in listed.stdout.splitlines():
            if "counter packets" in line:
                words = line.split()
                port = words[words.index("comment") + 1].strip('"')
                counted[name, port] = int(words[words.index("bytes") + 1])
    return counted


def count_voice(village: Village) -> None:
    """Count from now on what comes in with the mark of sound (DSCP EF) at every cable end."""
    for name in village.topology.stations:
        ports = [
            plug.interface
            for cable in village.topology.cables
            for plug in (cable.a, cable.b)
            if plug is not None and plug.station == name
        ]
        chains = "".join(
            f'chain {port} {{ type filter hook ingress device "{port}" priority 0; '
            f'ip6 dscp ef counter comment "{port}"; }}\n'
            for port in ports
        )
        table = f"table netdev talkcount {{\n{chains}}}\n"
        village.exec(name, ["nft", "-f", "-"], stdin=table, check=True)
