"""What the daemon and the voice process tell each other.

One `Stream` is one direction pair of a call: our microphone to them, their voice to our speaker.
The daemon owns calls and keys; the voice process owns sound, Opus and the UDP sockets.  What is
said about voice messages stands in `note`, about conferences in `conference_media`, about talk
groups in `talk_media`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from appliance.model.conference_media import ConferenceCommand, ConferenceEvent
from appliance.model.note import NoteCommand, NoteEvent
from appliance.model.secret import Secret
from appliance.model.sound_device import (
    ChooseDevices,
    DeviceList,
    Levels,
    ListDevices,
    TestLevels,
)
from appliance.model.stream_stats import StreamStats as StreamStats
from appliance.model.talk_media import TalkCommand, TalkEvent


class SoundProblem(StrEnum):
    """Why a call would be silent.  Each is said on the screen within 2 s."""

    NO_SOUND_ARRIVING = "no-sound-arriving"
    """No packet has come from the other side."""

    NO_MICROPHONE = "no-microphone"
    """There is no input device, or it was unplugged."""

    SILENT_MICROPHONE = "silent-microphone"
    """The input device gives nothing but digital silence."""

    NO_SPEAKER = "no-speaker"
    """There is no output device, or it was unplugged."""

    WRONG_FORMAT = "wrong-format"
    """A file or device has a format that can't be used."""

    UNREADABLE_SOUND = "unreadable-sound"
    """Packets arrive but do not authenticate or decode: the keys or codecs differ."""

    OTHER_DEVICE = "other-device"
    """A chosen sound device is not there, and the system's own stands in for it."""

    ECHO_STAYS = "echo-stays"
    """The machine is too slow to take the echo out of what its microphone hears."""

    CANNOT_RECORD = "cannot-record"
    """The recording can't be written, or the disk is too slow for it."""

    MEDIA_GONE = "media-gone"
    """The voice process has died; it is being started again."""


@dataclass(frozen=True)
class OpenStream:
    """Bind a UDP socket for a call; answered by `StreamOpened` or `StreamFailed`.

    For a stream that runs: bind another one, which the next `StartStream` changes over to.
    """

    stream: str
    """Name of the stream, chosen by the daemon; unique while the voice process lives."""

    local_host: str
    """Our address on the path that the session proved; IPv6 link-local with ``%scope``."""


@dataclass(frozen=True)
class StartStream:
    """Send and receive.  A second one for the same stream changes keys or addresses in place.

    Files that are named again go on where they are.
    """

    stream: str
    """Which."""

    remote_host: str
    """Their address, with scope where it is link-local."""

    remote_port: int
    """Their UDP port."""

    payload_type: int
    """RTP payload type of Opus in both directions (RFC 3551 dynamic, RFC 7587)."""

    crypto_suite: str
    """SRTP crypto suite of both directions (RFC 4568 section 6.2, RFC 7714)."""

    send_key: Secret
    """SRTP master key and salt that we send under."""

    receive_key: Secret
    """SRTP master key and salt that they send under."""

    play: str | None = None
    """WAV file that stands in for the microphone; None: the chosen device.

    The daemon opens the files and passes them along, since the voice process may not reach them.
    """

    record: str | None = None
    """WAV file that stands in for the speaker; None: the chosen device."""

    play_problem: str | None = None
    """Why the file to play could not be opened and is not passed along: one sentence."""

    record_problem: str | None = None
    """Likewise of the recording."""

    red_payload_type: int | None = None
    """RTP payload type of redundant Opus in both directions (RFC 2198); None: plain Opus alone."""

    dtx: bool = False
    """They want silence not to be sent (RFC 7587 section 6.1: usedtx)."""

    loss_reports: bool = True
    """They want to know which packets arrived (RFC 3611 section 5.1)."""

    max_frame_ms: int = 120
    """Longest packets that they take (RFC 4566 section 6: maxptime)."""

    link_bit_s: int | None = None
    """What the path takes of what we send, where it is known; else it is found out."""


@dataclass(frozen=True)
class StopStream:
    """Stop, close files and sockets; answered by `StreamClosed`."""

    stream: str
    """Which."""


@dataclass(frozen=True)
class SetStream:
    """Change how a running stream sounds."""

    stream: str
    """Which."""

    muted: bool | None = None
    """True: send silence in place of the microphone; None: as it is."""

    volume_pct: int | None = None
    """Loudness of the other side, 0 to 200; None: as it is."""

    push_to_talk: bool | None = None
    """True: the microphone is heard only while `talking`; False: always; None: as it is."""

    talking: bool | None = None
    """With `push_to_talk`: the key is held, or not.  It counts as let go after `TALK_LIMIT_S`, so
    that a key which is stuck keeps nobody else from talking; None: as it is."""


TALK_LIMIT_S = 60.0
"""Longest time that one push lets talk."""


@dataclass(frozen=True)
class Ring:
    """Start or stop the ring tone, or the tone that the caller hears while it rings."""

    tone: str | None
    """``ring``, ``ringback``, ``busy``, ``alarm``, ``notice``; None: be quiet."""


MEDIA_VERSION = 6
"""Of these commands and events; the two sides refuse each other when it differs."""


MediaCommand: TypeAlias = (
    OpenStream
    | StartStream
    | StopStream
    | SetStream
    | ChooseDevices
    | ListDevices
    | TestLevels
    | Ring
    | NoteCommand
    | ConferenceCommand
    | TalkCommand
)


@dataclass(frozen=True)
class MediaReady:
    """First event of a connection: what the voice process is and has."""

    version: int
    """`MEDIA_VERSION` of the voice process."""

    realtime: bool
    """It runs before all ordinary programs (SCHED_FIFO); False: at best with a better nice."""

    memory_locked: bool
    """Its memory is never paged out."""

    opus: str
    """Version of libopus and where it came from."""

    streams: tuple[str, ...] = ()
    """Streams that go on from before; at most 64."""

    echo: str = ""
    """What removes echo; else one sentence that says why nothing does."""


@dataclass(frozen=True)
class StreamOpened:
    """The socket is bound."""

    stream: str
    """Which."""

    port: int
    """Our UDP port."""


@dataclass(frozen=True)
class StreamFailed:
    """The stream can't go on."""

    stream: str
    """Which."""

    problem: SoundProblem
    """What kind of failure."""

    detail: str
    """One sentence for the operator."""


@dataclass(frozen=True)
class FirstSound:
    """The first frame of the other side was played or recorded."""

    stream: str
    """Which."""

    at_s: float = 0.0
    """When it sounded, on this machine's monotonic clock (the same in all processes)."""


@dataclass(frozen=True)
class FileStarted:
    """A stand-in file has begun; with both moments recordings can be laid over each other."""

    stream: str
    """Which."""

    path: str
    """The file."""

    recording: bool
    """True: it stands in for the speaker; False: for the microphone."""

    at_s: float
    """When its first sample was spoken or heard, on this machine's monotonic clock."""


@dataclass(frozen=True)
class SoundWarning:
    """Something makes the call silent, or no longer does."""

    stream: str
    """Which."""

    problem: SoundProblem
    """What."""

    over: bool
    """True: it has passed."""

    detail: str
    """One sentence for the operator."""


@dataclass(frozen=True)
class StreamClosed:
    """The stream is over and its files are complete."""

    stream: str
    """Which."""

    late_histogram: tuple[int, ...] = ()
    """Frames sent by their lateness against the 20 ms grid in steps of 0.1 ms; the last entry
    holds all that were later."""


MediaEvent: TypeAlias = (
    MediaReady
    | StreamOpened
    | StreamFailed
    | FirstSound
    | FileStarted
    | SoundWarning
    | StreamStats
    | StreamClosed
    | DeviceList
    | Levels
    | NoteEvent
    | ConferenceEvent
    | TalkEvent
)
