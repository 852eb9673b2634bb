"""One stream's keys, ports and descriptions."""

from __future__ import annotations

import random

import pytest

from appliance.model.media import MediaCommand, OpenStream, StartStream, StopStream
from appliance.node.call_media import MAX_OPENING, CallMedia, NoSharedSoundError
from appliance.protocol.sip.sdes import PREFERRED, Suite
from appliance.protocol.sip.sdp import read_description


class End:
    """One side, with what it asked of the voice process."""

    def __init__(
        self, seed: int, suites: tuple[Suite, ...] = PREFERRED, *, way_kbit: int | None = None
    ) -> None:
        self.commands: list[MediaCommand] = []
        self.media = CallMedia(
            "s",
            random_bytes=random.Random(seed).randbytes,
            suites=suites,
            emit=self.commands.append,
            way_kbit=lambda: way_kbit,
        )

    def opened(self, port: int = 5000) -> End:
        self.media.open("fe80::1%eth0")
        self.media.opened(port)
        return self

    @property
    def start(self) -> StartStream:
        command = self.commands[-1]
        assert isinstance(command, StartStream)
        return command


@pytest.mark.parametrize("first", PREFERRED)
def test_offer_and_answer_agree(first: Suite) -> None:
    caller, callee = End(1).opened(5000), End(2, (first,)).opened(6000)
    caller.media.take_answer(callee.media.answer(caller.media.offer(), "fe80::a"), "fe80::b")
    assert (caller.start.send_key, caller.start.receive_key) == (
        callee.start.receive_key,
        callee.start.send_key,
    )
    assert caller.start.crypto_suite == callee.start.crypto_suite == first
    assert (caller.start.remote_host, caller.start.remote_port) == ("fe80::b", 6000)
    assert (callee.start.remote_host, callee.start.remote_port) == ("fe80::a", 5000)


def test_redundancy_reports_and_silence_are_agreed() -> None:
    caller, callee = End(1).opened(5000), End(2).opened(6000)
    answer = callee.media.answer(caller.media.offer(), "fe80::a")
    caller.media.take_answer(answer, "fe80::b")
    for start in (caller.start, callee.start):
        assert (start.payload_type, start.red_payload_type) == (96, 97)
        assert (start.dtx, start.loss_reports, start.max_frame_ms) == (True, True, 120)


@pytest.mark.parametrize(
    ("ours", "theirs", "known"),
    [
        (None, None, None),
        (16, None, 16),
        (None, 16, 16),
        (40, 16, 16),
        (16, 40, 16),
        (None, 5_000, None),
        (256, None, None),
    ],
)
def test_what_either_end_knows_of_the_way_both_know(
    ours: int | None, theirs: int | None, known: int | None
) -> None:
    caller = End(1, way_kbit=ours).opened(5000)
    callee = End(2, way_kbit=theirs).opened(6000)
    answer = callee.media.answer(caller.media.offer(), "fe80::a")
    caller.media.take_answer(answer, "fe80::b")
    for end in (caller, callee):
        assert end.media.limit_kbit == known
        assert end.start.link_bit_s == (None if known is None else 1000 * known)


BEFORE = ("a=rtpmap:97", "a=fmtp:97", "a=rtcp-xr", "a=maxptime")


def as_before(description: bytes) -> bytes:
    """As releases up to 0.2 describe themselves: Opus, and nothing else."""
    lines = description.decode().replace(";usedtx=1", "").replace("SAVP 96 97", "SAVP 96")
    kept = [line for line in lines.split("\r\n") if not line.startswith(BEFORE)]
    return "\r\n".join(kept).encode()


def test_with_an_earlier_release_it_is_plain_opus() -> None:
    caller, callee = End(1).opened(5000), End(2).opened(6000)
    answer = callee.media.answer(as_before(caller.media.offer()), "fe80::a")
    assert b"red/48000" not in answer
    assert (callee.start.red_payload_type, callee.start.dtx) == (None, False)
    caller.media.take_answer(as_before(callee.media.answer(caller.media.offer(), "x")), "fe80::b")
    for start in (caller.start, callee.start):
        assert start.payload_type == 96
    assert (caller.start.red_payload_type, caller.start.dtx) == (None, False)
    assert not caller.start.loss_reports


def test_every_offer_and_every_suite_has_its_own_key() -> None:
    media = End(1).opened().media
    keys = set()
    for _ in range(3):
        description = read_description(media.offer())
        assert description is not None
        assert b"%" not in bytes(description)
        keys |= {crypto.key.value for crypto in description.voice.crypto}
    assert len(keys) == 3 * len(PREFERRED)


def test_our_own_key_is_never_taken_for_theirs() -> None:
    caller = End(1).opened()
    with pytest.raises(NoSharedSoundError, match="own key"):
        caller.media.take_answer(caller.media.offer(), "fe80::b")
    assert not any(isinstance(command, StartStream) for command in caller.commands)


def test_an_answer_with_a_suite_of_its_own() -> None:
    caller = End(1, (Suite.AEAD_AES_128_GCM,)).opened()
    other = End(2, (Suite.AES_CM_128_HMAC_SHA1_80,)).opened()
    caller.media.offer()
    with pytest.raises(NoSharedSoundError, match="not offered"):
        caller.media.take_answer(other.media.offer(), "fe80::b")
    with pytest.raises(NoSharedSoundError, match="no suite"):
        caller.media.answer(other.media.offer(), "fe80::b")


def test_sockets_come_in_the_order_in_which_they_were_asked_for() -> None:
    end = End(1)
    for host in ("fe80::1", "fe80::1", "fe80::2"):
        end.media.open(host)
    assert end.commands == [OpenStream("s", "fe80::1"), OpenStream("s", "fe80::2")]
    end.media.opened(5000)
    assert end.media.is_open("fe80::1")
    end.media.opened(5002)
    assert end.media.is_open("fe80::2")
    assert b"m=audio 5002 " in end.media.offer()
    assert end.media.opened(5004), "a socket that nobody has described yet"
    for number in range(10):
        end.media.open(f"fe80::{number}")
    assert len(end.commands) == 2 + MAX_OPENING


def test_a_stream_is_stopped_once_and_only_if_there_is_one() -> None:
    end = End(1)
    end.media.close()
    assert end.commands == []
    end.opened().media.close()
    end.media.close()
    assert end.commands[1:] == [StopStream("s")]
    with pytest.raises(RuntimeError, match="socket"):
        end.media.offer()


def test_a_recording_is_not_overwritten_after_the_voice_process_died() -> None:
    caller, callee = End(1).opened(), End(2).opened()
    callee.media.choose_files(play=None, record="/tmp/x.wav")
    names = []
    for _ in range(2):
        for _ in range(2):
            callee.media.answer(caller.media.offer(), "fe80::a")
            names.append(callee.start.record)
        callee.media.lost()
        callee.opened()
    assert names == ["/tmp/x.wav", "/tmp/x.wav", "/tmp/x-2.wav", "/tmp/x-2.wav"]
