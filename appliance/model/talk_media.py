"""What the daemon and the voice process tell each other about talk groups.

A talk is one channel at this station: its sockets, what it hears or says, and to whom it passes
packets on.  `SetTalk` gives the whole wanted state of a talk each time, so that it can be said
again after either side was started anew.  Talks end with the daemon's connection: nobody may go on
speaking, or listening to, what no screen shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from appliance.model.secret import Secret

MAX_TALKS: Final = 16
"""Channels that a voice process serves at a time."""

MAX_CHILDREN: Final = 32
"""To whom one talk is passed on."""

REPLAY_S: Final = 120.0
"""How much of what was heard is kept, in the voice process alone."""

CATCH_UP_S: Final = 1.0
"""Until a spurt is this old, all of it is kept for a child that comes late.  One that comes later
gets what is said from then on."""


REPORTED: Final = 52
"""Packets that a report tells of one by one: those of a second, and some more."""

MAX_WITHOUT: Final = 1_000
"""Above it nobody counts."""


@dataclass(frozen=True)
class OpenTalk:
    """Bind a UDP socket for a talk; answered by `TalkOpened` or `TalkFailed`.

    One for every address over which neighbours are reached; asked again it is answered again.
    """

    talk: str
    """Which channel, as the daemon names it."""

    local_host: str
    """Our address; IPv6 link-local with ``%scope``."""


@dataclass(frozen=True)
class TalkHop:
    """A neighbour in the tree of a spurt."""

    local_host: str
    """Our address towards it, for which `OpenTalk` was answered."""

    remote_host: str
    """Its address, with scope where it is link-local."""

    remote_port: int
    """Its UDP port.  0, of the one upstream alone: not known yet, any port at that address."""


@dataclass(frozen=True)
class TalkReport:
    """What a station tells whom it has a spurt from: of that hop, and of all that is behind it."""

    highest: int
    """RTP sequence number of the newest packet that came, 16 bits."""

    written_ms: int
    """When this was written, by a clock of its own."""

    arrived: int
    """Which of the last `REPORTED` packets came: bit 0 stands for the newest."""

    loss: int
    """In 1/1000: the most that is lost between the speaker and any station here or behind us ..."""

    burst: int
    """... and how many in a row there, on average, in 1/10."""

    limit_bit_s: int = 0
    """What the thinnest link behind us takes, with all headers; 0: none is known to be thin."""

    without: int = 0
    """Neighbours behind us, at most `MAX_WITHOUT`, whose link takes no sound at all."""


@dataclass(frozen=True)
class SetTalk:
    """How a talk is to be from now on; answered by nothing.

    Speaking: the microphone, taken from a call for as long as it lasts, is encoded, encrypted and
    sent to every child.  Not speaking: packets from upstream go to every child as they came, and
    are played where `listening`.  Another `spurt` than before is another sender under another key:
    nothing of the one before is played or sent any more.
    """

    talk: str
    """Which."""

    spurt: str | None
    """Which time of holding the key, in hex; None: nobody speaks."""

    speaking: bool = False
    """It is our operator who speaks."""

    listening: bool = False
    """What comes is to be heard here (and kept for a replay); needs `key`."""

    suite: str = ""
    """SRTP crypto suite (`sdes.Suite`)."""

    key: Secret | None = None
    """SRTP master key and salt of this spurt alone; None: pass on only."""

    ssrc: int = 0
    """Synchronisation source of this spurt (RFC 3550 section 8); packets with another are dropped,
    so that not everything that comes is passed on."""

    upstream: TalkHop | None = None
    """From whom it comes; None: we speak, or nobody has it for us yet."""

    children: tuple[TalkHop, ...] = ()
    """To whom it goes on, at most `MAX_CHILDREN`; one that is new while the spurt is younger
    than `CATCH_UP_S` gets all of it from the beginning."""

    volume_pct: int = 100
    """Loudness here, 0 to 200."""

    play: str | None = None
    """WAV file that stands in for the microphone, over all spurts; None: the chosen device.

    As in `StartStream`, the daemon opens the files and passes them along.  Named again they go on
    where they are.
    """

    record: str | None = None
    """WAV file that stands in for the speaker, over all spurts; None: the chosen device."""

    play_problem: str | None = None
    """Why the file to play could not be opened and is not passed along: one sentence."""

    record_problem: str | None = None
    """Likewise of the recording."""


@dataclass(frozen=True)
class CloseTalk:
    """Close the sockets and files of a talk and forget what was kept; answered by nothing."""

    talk: str
    """Which."""


@dataclass(frozen=True)
class TalkTone:
    """Let the operator hear once what became of the key."""

    tone: str
    """``talk-go``: speak now; ``talk-over``: the other's spurt ended; ``talk-busy``: it is not your
    turn, or no longer."""


@dataclass(frozen=True)
class ReplayTalk:
    """Play what was said on a channel lately, pauses shortened; answered by `TalkReplayState`.

    It stops by itself at the end, and when our operator speaks.
    """

    talk: str
    """Which."""

    from_s: float = REPLAY_S
    """How many seconds back to begin."""


@dataclass(frozen=True)
class StopReplay:
    """Stop that; answered by `TalkReplayState`."""

    talk: str
    """Which."""


@dataclass(frozen=True)
class TalkHeard:
    """A child reports; answered by nothing."""

    talk: str
    """Which."""

    spurt: str
    """Of which spurt, in hex."""

    child: TalkHop
    """As in `SetTalk`."""

    report: TalkReport
    """What it said."""


TalkCommand: TypeAlias = (
    OpenTalk | SetTalk | CloseTalk | TalkTone | ReplayTalk | StopReplay | TalkHeard
)


@dataclass(frozen=True)
class TalkOpened:
    """A socket is bound."""

    talk: str
    """Which."""

    local_host: str
    """As asked."""

    port: int
    """Our UDP port there, from which we also send."""


@dataclass(frozen=True)
class TalkFailed:
    """A talk can't be as it was wanted."""

    talk: str
    """Which."""

    local_host: str | None
    """Where no socket could be bound; None: it is something else, such as no microphone."""

    detail: str
    """One sentence for the operator."""


@dataclass(frozen=True)
class TalkStarted:
    """The first frame of a spurt was spoken into our microphone, or was played or recorded."""

    talk: str
    """Which."""

    spurt: str
    """Which."""

    speaking: bool
    """True: it is ours."""

    at_s: float
    """When, on this machine's monotonic clock (the same in all processes)."""


@dataclass(frozen=True)
class TalkStats:
    """Once a second while there is a spurt; counts are since the talk was opened."""

    talk: str
    """Which."""

    spurt: str
    """Which."""

    packets_in: int
    """From upstream, before any check but the address."""

    packets_out: int
    """Ours and those passed on, one for every child."""

    forwarded: int
    """Of those, passed on."""

    rejected: int
    """Dropped: another source or SSRC, forged, replayed, broken or too many."""

    level_db: float
    """What is spoken or heard, dB full scale; -100 is silence."""

    loss_pct: float = 0.0
    """Packets of this spurt that never came, over the last 5 s."""

    report: TalkReport | None = None
    """For whom we have it from; None: nothing has come, or it is ours."""

    cut: tuple[TalkHop, ...] = ()
    """Children that get nothing, since not even the least that is speech gets through to them."""

    without: int = 0
    """Where it is ours: how many such there are in the whole tree."""


@dataclass(frozen=True)
class TalkReplayState:
    """A replay began, went on (once a second) or ended."""

    talk: str
    """Which."""

    playing: bool
    """It goes on."""

    position_s: float
    """How much of it was played."""

    length_s: float
    """How long it takes."""

    detail: str = ""
    """One sentence for the operator where it can't be played."""


TalkEvent: TypeAlias = TalkOpened | TalkFailed | TalkStarted | TalkStats | TalkReplayState
