"""Frames: messages come out whole however they were cut, and nothing else comes out."""

from __future__ import annotations

import contextlib
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.model.codec import FormatError
from appliance.protocol.frames import MAX_FRAME, MAX_MESSAGE, Channel, Receiver, Sender

channels = st.integers(0, 5).map(lambda number: bytes([number]))


@given(st.lists(st.tuples(st.sampled_from(Channel), st.integers(0, 40_000)), max_size=6))
@settings(max_examples=50)
def test_messages_come_out_whole_and_in_the_order_of_their_channel(
    sizes: list[tuple[Channel, int]],
) -> None:
    sender, receiver = Sender(), Receiver()
    said: dict[Channel, list[bytes]] = {channel: [] for channel in Channel}
    for number, (channel, size) in enumerate(sizes):
        message = bytes([number]) * min(size, MAX_MESSAGE[channel])
        sender.put(channel, message)
        said[channel].append(message)
    heard: dict[Channel, list[bytes]] = {channel: [] for channel in Channel}
    order = []
    for frame in iter(sender.take, None):
        assert len(frame) <= MAX_FRAME
        complete = receiver.feed(frame)
        if complete is not None:
            order.append(complete[0])
            heard[complete[0]].append(complete[1])
    assert heard == said
    assert order == sorted(order, key=list(Channel).index)
    assert sender.queued == 0


@given(st.lists(st.binary(max_size=60), max_size=30), st.randoms(use_true_random=False))
def test_where_a_message_is_cut_makes_no_difference(
    messages: list[bytes], rng: random.Random
) -> None:
    receiver = Receiver()
    frames: list[tuple[Channel, bytes]] = []
    queues: dict[Channel, list[tuple[int, bytes]]] = {channel: [] for channel in Channel}
    for number, message in enumerate(messages):
        channel = list(Channel)[number % len(Channel)]
        cuts = sorted(rng.randrange(len(message) + 1) for _ in range(rng.randrange(4)))
        edges = [0, *cuts, len(message)]
        pieces = [message[a:b] for a, b in itertools.pairwise(edges)]
        queues[channel] += [(i == len(pieces) - 1, piece) for i, piece in enumerate(pieces)]
    while waiting := [channel for channel, queue in queues.items() if queue]:
        channel = rng.choice(waiting)
        last, piece = queues[channel].pop(0)
        if rng.random() < 0.1:
            unknown = rng.randrange(max(Channel) + 1, 256)
            assert receiver.feed(bytes((unknown, rng.randrange(256)))) is None
        found = receiver.feed(bytes((channel, last | rng.randrange(0, 256, 2))) + piece)
        if found is not None:
            frames.append(found)
    for place, channel in enumerate(Channel):
        assert [m for c, m in frames if c is channel] == messages[place :: len(Channel)]


@given(
    st.lists(
        st.binary(max_size=30)
        | st.builds(lambda c, d: bytes([c]) + d, st.integers(0, 5), st.binary(max_size=99))
    )
)
def test_random_frames_are_messages_or_errors(frames: list[bytes]) -> None:
    receiver = Receiver()
    for frame in frames:
        with contextlib.suppress(FormatError):
            receiver.feed(frame)


def test_a_message_without_end_is_an_error() -> None:
    for channel in Channel:
        receiver = Receiver()
        frame = bytes((channel, 0)) + bytes(MAX_FRAME - 2)
        while len(receiver._partial.get(channel, b"")) + len(frame) - 2 <= MAX_MESSAGE[channel]:
            assert receiver.feed(frame) is None
        with pytest.raises(FormatError):
            receiver.feed(frame)
