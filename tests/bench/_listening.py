"""What the receiving half of a call costs: decrypting, the jitter buffer, decoding, bending.

CPU time of this process, in virtual time and without sockets, so that two versions of it can be
compared on a busy machine.
"""

from __future__ import annotations

import random
import time

import numpy as np

from appliance.adapters.srtp import AES_GCM, new_key
from appliance.media.effort import COMPLEXITY
from appliance.media.receiver import Receiver
from appliance.media.sender import Sender
from appliance.protocol.playing import FRAME, FRAME_S

FRAMES = 1_500
"""Half a minute."""

TIMES = 5
BEAT_S = 0.013
"""The listener's beats against the speaker's."""

LOSS, JITTER_S = 0.05, 0.08
"""Of the bad path."""


def listening_us() -> tuple[list[float], list[float]]:
    """Microseconds of CPU for each 20 ms of sound, in several runs: a clean path, and a bad one."""
    key = new_key(AES_GCM)
    sender = Sender(AES_GCM, key, 96)
    sender.set_complexity(COMPLEXITY)
    hiss = np.random.default_rng(1).normal(0, 2_000, FRAME * FRAMES).clip(-32_768, 32_767)
    packets: list[tuple[float, bytes]] = []
    for number in range(FRAMES):
        pcm = hiss[number * FRAME : (number + 1) * FRAME].astype("<i2").tobytes()
        now = (number + 1) * FRAME_S
        if (packet := sender.frame(pcm, now)) is not None:
            packets.append((now, packet))
    chance = random.Random(1)
    bad = sorted(
        (at + chance.uniform(0, JITTER_S), packet)
        for at, packet in packets
        if chance.random() >= LOSS
    )
    clean_us, bad_us = list[float](), list[float]()
    for _ in range(TIMES):
        for way, found in ((packets, clean_us), (bad, bad_us)):
            receiver = Receiver(AES_GCM, key, 96)
            found.append(_one_us(receiver, way))
    return clean_us, bad_us


def _one_us(receiver: Receiver, way: list[tuple[float, bytes]]) -> float:
    came = 0
    began = time.process_time()
    for number in range(FRAMES):
        beat = (number + 1) * FRAME_S + BEAT_S
        while came < len(way) and way[came][0] <= beat:
            receiver.datagram(way[came][1], way[came][0])
            came += 1
        receiver.frame(beat)
    used = time.process_time() - began
    if receiver.rejected:
        raise RuntimeError("what was sent was not understood")
    return used / FRAMES * 1e6
