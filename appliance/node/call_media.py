"""The voice stream of one call: its socket, its keys, and what offers and answers say of it.

Every description that leaves here has keys of its own, and every direction too (RFC 4568 section
9.1: two senders under one key would break the cipher).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Final

from appliance.model.kept_call import KeptSound
from appliance.model.media import (
    TALK_LIMIT_S,
    MediaCommand,
    OpenStream,
    SetStream,
    StartStream,
    StopStream,
)
from appliance.model.secret import Secret
from appliance.protocol.sip.message import RandomBytes
from appliance.protocol.sip.sdes import KEY_BYTES, Crypto, Suite
from appliance.protocol.sip.sdp import (
    DEFAULT_PAYLOAD_TYPE,
    MAX_PTIME_MS,
    MIRRORED,
    RED_PAYLOAD_TYPE,
    Description,
    Voice,
    read_description,
)

MAX_OPENING: Final = 4
"""Sockets that are asked for at a time, when addresses change faster than the voice process."""


WIDE_KBIT: Final = 128
"""What takes this takes any call, so how much exactly is nobody's business."""


class NoSharedSoundError(Exception):
    """The other side's description has nothing that we can talk over safely."""


class CallMedia:
    """One stream of the voice process, and the SDP of the call that it belongs to."""

    def __init__(
        self,
        stream: str,
        *,
        random_bytes: RandomBytes,
        suites: Sequence[Suite],
        emit: Callable[[MediaCommand], None],
        way_kbit: Callable[[], int | None] = lambda: None,
    ) -> None:
        """`way_kbit` says what our end of the way takes, if that is known."""
        self._way_kbit = way_kbit
        self._their_kbit: int | None = None
        self._stream = stream
        self._random_bytes = random_bytes
        self._suites = suites
        self._emit = emit
        self._play: str | None = None
        self._record: str | None = None
        self._opening: deque[str] = deque()
        self._host: str | None = None
        self._port: int | None = None
        self._was_opened = False
        self._is_running = False
        self._part = 1
        self._muted = False
        self._push_to_talk = False
        self._talking_until = 0.0
        self._volume_pct: int | None = None
        self._session_id = int.from_bytes(random_bytes(7), "big")
        self._version = 0
        self._offered: tuple[Crypto, ...] = ()

    def choose_files(self, *, play: str | None, record: str | None) -> None:
        """Choose what stands in for microphone and speaker.

        After the death of a voice process the recording goes on in another file (``x-2.wav``), so
        that what was recorded before stays.
        """
        self._play, self._record = play, record

    def kept(self) -> KeptSound:
        """Return what is to be known after a restart."""
        return KeptSound(
            muted=self._muted,
            volume_pct=self._volume_pct,
            play=self._play,
            record=self._record,
            part=self._part,
            session_id=str(self._session_id),
            version=self._version,
            push_to_talk=self._push_to_talk,
        )

    def go_on(self, kept: KeptSound) -> None:
        """Take up what was chosen before a restart; raises ValueError for what is no number.

        There may still be a stream of before: a voice process outlives its daemon for a while.
        """
        self._muted, self._volume_pct = kept.muted, kept.volume_pct
        self._push_to_talk = kept.push_to_talk
        self._play, self._record = kept.play, kept.record
        self._part = kept.part + 1
        self._session_id, self._version = int(kept.session_id), kept.version
        self._was_opened = True

    @property
    def limit_kbit(self) -> int | None:
        """What the way takes, as far as either end knows; None: neither does."""
        known = (self._our_kbit(), self._their_kbit)
        return min((one for one in known if one is not None), default=None)

    def _our_kbit(self) -> int | None:
        limit_kbit = self._way_kbit()
        return limit_kbit if limit_kbit is not None and limit_kbit < WIDE_KBIT else None

    @property
    def is_opening(self) -> bool:
        """The voice process has not said yet whether it has a socket."""
        return bool(self._opening)

    def is_open(self, local_host: str | None = None) -> bool:
        """Tell whether there is a socket, at `local_host` if that is given."""
        return self._port is not None and local_host in {None, self._host}

    def open(self, local_host: str) -> None:
        """Ask for a socket at `local_host`, unless that has been asked."""
        asked = bool(self._opening) and self._opening[-1] == local_host
        if not asked and len(self._opening) < MAX_OPENING:
            self._opening.append(local_host)
            self._was_opened = True
            self._emit(OpenStream(self._stream, local_host))

    def opened(self, port: int) -> bool:
        """Learn that there is a socket; they come in the order in which they were asked for.

        True: it takes the place of one that may have been described to the other side.
        """
        if self._opening:
            self._host, self._port = self._opening.popleft(), port
            return False
        replaced = self._port is not None and self._port != port
        if replaced:
            self._port = port
        return replaced

    def lost(self) -> None:
        """Learn that the voice process has died and the socket with it, and who talked."""
        self._talking_until = 0.0
        self._part += self._is_running
        self._opening.clear()
        self._host = self._port = None
        self._is_running = False

    def close(self) -> None:
        """Stop the stream if it was ever asked for."""
        if self._was_opened:
            self._emit(StopStream(self._stream))
            self._was_opened = False
        self.lost()

    def adjust(self, *, muted: bool | None = None, volume_pct: int | None = None) -> None:
        """Change how it sounds, now or as soon as it runs."""
        self._muted = self._muted if muted is None else muted
        self._volume_pct = self._volume_pct if volume_pct is None else volume_pct
        if self._is_running:
            self._emit(SetStream(self._stream, muted=muted, volume_pct=volume_pct))

    @property
    def uses_push_to_talk(self) -> bool:
        """The microphone is heard only while the key is held."""
        return self._push_to_talk

    def key(self, *, used: bool | None, held: bool | None, now: float) -> float:
        """Push to talk, as in `SetStream`; when the key counts as let go, past if it is not held.

        It is the voice process that lets go by itself; here this is only known too.
        """
        if used is not None:
            self._push_to_talk = used
        if held is False or not self._push_to_talk:
            self._talking_until = 0.0
        elif held and self._talking_until <= now:
            self._talking_until = now + TALK_LIMIT_S
        if self._is_running:
            self._emit(SetStream(self._stream, push_to_talk=used, talking=held))
        return self._talking_until

    def offer(self) -> bytes:
        """Return a new offer, with a new key for every suite; needs `is_open`."""
        self._offered = tuple(
            Crypto(tag, suite, self._new_key(suite)) for tag, suite in enumerate(self._suites, 1)
        )
        return self._describe(DEFAULT_PAYLOAD_TYPE, RED_PAYLOAD_TYPE, self._offered)

    def take_answer(self, body: bytes, remote_host: str) -> None:
        """Start with their answer to our last offer.

        Raises NoSharedSoundError or SipError.  Without a socket (the voice process has just died)
        nothing starts; another offer has to follow.
        """
        description = read_description(body)
        if description is None:
            raise NoSharedSoundError("the answer has no key or no Opus")
        theirs = description.voice.crypto[0]
        ours = next((o for o in self._offered if o.tag == theirs.tag), None)
        if ours is None or ours.suite is not theirs.suite:
            raise NoSharedSoundError("the answer takes a suite that was not offered")
        self._start(description.voice, remote_host, ours, theirs)

    def answer(self, body: bytes, remote_host: str) -> bytes:
        """Start with their offer and return our answer; needs `is_open`.

        Raises NoSharedSoundError or SipError, and then nothing has changed.
        """
        description = read_description(body)
        if description is None:
            raise NoSharedSoundError("the offer has no key or no Opus")
        by_suite = {crypto.suite: crypto for crypto in reversed(description.voice.crypto)}
        theirs = next((by_suite[suite] for suite in self._suites if suite in by_suite), None)
        if theirs is None:
            raise NoSharedSoundError("the offer has no suite that we have")
        ours = Crypto(theirs.tag, theirs.suite, self._new_key(theirs.suite))
        self._start(description.voice, remote_host, ours, theirs)
        voice = description.voice
        return self._describe(voice.payload_type, voice.red_payload_type, (ours,), description)

    def _new_key(self, suite: Suite) -> Secret:
        return Secret(self._random_bytes(KEY_BYTES[suite]))

    def _start(self, voice: Voice, remote_host: str, ours: Crypto, theirs: Crypto) -> None:
        if theirs.key == ours.key:
            raise NoSharedSoundError("they send under our own key")
        if self._port is None:
            return
        self._is_running = True
        said = voice.limit_kbit
        self._their_kbit = said if said is not None and said < WIDE_KBIT else None
        limit_kbit = self.limit_kbit
        self._emit(
            StartStream(
                stream=self._stream,
                remote_host=remote_host,
                remote_port=voice.port,
                payload_type=voice.payload_type,
                crypto_suite=ours.suite.value,
                send_key=ours.key,
                receive_key=theirs.key,
                red_payload_type=voice.red_payload_type,
                dtx=voice.dtx,
                loss_reports=voice.loss_reports,
                max_frame_ms=voice.max_ptime_ms or MAX_PTIME_MS,
                link_bit_s=None if limit_kbit is None else 1000 * limit_kbit,
                play=self._play,
                record=self._part_of_record(),
            )
        )
        if self._muted or self._push_to_talk or self._volume_pct is not None:
            self._emit(
                SetStream(
                    self._stream,
                    muted=self._muted,
                    volume_pct=self._volume_pct,
                    push_to_talk=self._push_to_talk or None,
                )
            )

    def _part_of_record(self) -> str | None:
        if self._record is None or self._part == 1:
            return self._record
        path = PurePath(self._record)
        return str(path.with_name(f"{path.stem}-{self._part}{path.suffix}"))

    def _describe(
        self,
        payload_type: int,
        red_payload_type: int | None,
        crypto: tuple[Crypto, ...],
        offer: Description | None = None,
    ) -> bytes:
        if self._host is None or self._port is None:
            raise RuntimeError("a description needs a socket")
        self._version += 1
        voice = Voice(
            self._host.partition("%")[0],
            self._port,
            payload_type,
            crypto,
            red_payload_type=red_payload_type,
            dtx=True,
            loss_reports=True,
            max_ptime_ms=MAX_PTIME_MS,
            limit_kbit=self._our_kbit(),
        )
        if offer is None:
            return bytes(Description(self._session_id, self._version, voice))
        theirs = offer.voice
        voice = replace(
            voice,
            direction=MIRRORED[theirs.direction],
            profile=theirs.profile,
            rtcp_mux=theirs.rtcp_mux,
        )
        return bytes(
            Description(self._session_id, self._version, voice, offer.position, offer.refused)
        )
