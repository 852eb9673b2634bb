"""A whole station, given whatever bytes on every channel of a proved session."""

from __future__ import annotations

import random
from functools import cache

import pytest
from format_samples import mutated
from hypothesis import given, settings
from hypothesis import strategies as st
from mail_world import Desk, World, world

from appliance.model.identity import Address
from appliance.protocol.frames import MAX_MESSAGE, Channel

CHANNELS = [channel for channel in Channel if channel is not Channel.CONTROL]


def give(desk: Desk, sender: Desk, channel: Channel, data: bytes) -> None:
    """Let a message arrive, and all that follows from it."""
    link = desk.world.links_of(desk)[0]
    handle = link.ends[desk]
    desk.carry_out(desk.station.message_received(handle, sender.id, channel, data, desk.now))


def still_works(w: World) -> None:
    a, b = w.desks
    w.settle()
    if not w.links:
        w.connect(a, b)
        w.settle()
    before = len(b.inbox())
    a.write(b, "still here?")
    w.settle()
    assert len(b.inbox()) == before + 1


@cache
def said() -> dict[Channel, tuple[bytes, ...]]:
    """What two stations say to each other when they write, compare and call."""
    heard: dict[Channel, list[bytes]] = {channel: [] for channel in Channel}
    with world() as w:
        a, b = w.desks
        real = b.station.message_received

        def note(handle: int, peer: object, channel: Channel, data: bytes, now: object) -> object:
            heard[channel].append(data)
            return real(handle, peer, channel, data, now)  # type: ignore[arg-type]

        b.station.message_received = note  # type: ignore[assignment, method-assign]
        a.write(b, "hello")
        a.write(None, "hello all")
        b.write(a, "hello as well")
        w.settle()
        a.read_all()
        a.carry_out(a.station.set_name("Another", a.now, done=lambda: None, failed=print))
        a.carry_out(a.station.verifier.begin(b.id, w.now_s)[1])
        a.carry_out(a.station.call(Address(b.id), a.now, play=None, record=None)[1])
        w.settle()
        a.carry_out(a.station.verifier.abandon(b.id))
        w.settle()
    return {channel: tuple(messages) for channel, messages in heard.items()}


def test_there_is_something_to_change() -> None:
    assert {channel for channel, messages in said().items() if messages} >= {
        Channel.VERIFY,
        Channel.ACK,
        Channel.CARD,
        Channel.RECORD,
    }


@pytest.mark.parametrize("channel", CHANNELS)
@given(messages=st.lists(st.binary(max_size=300), min_size=1, max_size=4))
@settings(max_examples=20)
def test_noise_ends_the_session_at_most(channel: Channel, messages: list[bytes]) -> None:
    with world() as w:
        a, b = w.desks
        for data in messages:
            give(b, a, channel, data)
        still_works(w)


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("seed", range(4))
def test_what_was_once_valid_ends_the_session_at_most(channel: Channel, seed: int) -> None:
    """On its own channel and on others, twice, late and changed."""
    rng = random.Random(seed)
    everything = [data for messages in said().values() for data in messages]
    own = list(said()[channel]) or everything
    with world(seed) as w:
        a, b = w.desks
        for _ in range(60):
            data = rng.choice(own if rng.random() < 0.8 else everything)
            changed = mutated(data, rng) if rng.random() < 0.8 else data
            give(b, a, channel, changed[: MAX_MESSAGE[channel]])
            for _ in range(rng.randrange(6)):
                w.step()
            if not w.links_of(b):
                w.connect(a, b)
        still_works(w)
