"""How a call sounds, in figures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StreamStats:
    """Once a second: how the call sounds."""

    stream: str
    """Which."""

    loss_pct: float
    """Packets of the other side that never came or came too late, over the last 5 s."""

    jitter_ms: float
    """Interarrival jitter (RFC 3550 section 6.4.1)."""

    buffer_ms: float
    """What the jitter buffer holds."""

    level_in_db: float
    """Our microphone, dB full scale; -100 is silence."""

    level_out_db: float
    """Their voice, dB full scale."""

    packets_sent: int
    """Since the start."""

    packets_received: int
    """Since the start, in time or late."""

    concealed: int
    """20 ms frames that were made up since the start."""

    rejected: int
    """Packets dropped since the start: forged, replayed or broken."""

    late_max_ms: float
    """Worst lateness of a sent frame against its 20 ms grid in this second."""

    recovered: int = 0
    """20 ms frames that forward error correction brought back since the start."""

    loss_there_pct: float | None = None
    """Loss that the other side reports of our voice; None: no report yet."""

    round_trip_ms: float | None = None
    """From its reports; None: not known yet."""

    sound_gaps: int = 0
    """Frames that a sound card was not given or that were not taken from it in time, since the
    voice process began: this machine is too slow, or busy with other things."""

    voice_in_db: float = -100.0
    """Loudest moment of our microphone in the last 5 s, before noise and level are mended."""

    clipped_in_pct: float = 0.0
    """Share of its last 5 s in which it was too loud for the microphone."""

    voice_out_db: float = -100.0
    """Loudest moment of their voice in the last 5 s, as it came."""

    clipped_out_pct: float = 0.0
    """Share of its last 5 s in which it was too loud."""

    talk_left_s: float | None = None
    """Push to talk: how long we may still talk, 0 while we do not; None: the microphone is open."""

    copied: int = 0
    """20 ms frames that redundant copies (RFC 2198) brought back since the start."""

    dropped: int = 0
    """20 ms frames that were left out since the start because a stalled link came back."""

    late: int = 0
    """Packets of this source that came after their time."""

    delay_ms: float = 0.0
    """What the jitter buffer adds to the way of the fastest packet."""

    target_ms: float = 0.0
    """What it should add."""

    stretched_ms: float = 0.0
    """Sound by which theirs was made longer or shorter since the start, to change the delay."""

    burst_there: float = 1.0
    """Packets of ours that are lost in a row there, on average."""

    sending_kbit_s: float = 0.0
    """What we send while somebody speaks, with all headers."""

    frame_ms: int = 20
    """Sound in each packet that we send."""

    copies: tuple[int, ...] = ()
    """Which older packets' sound goes along with each, by how many packets older."""

    bandwidth: str = ""
    """Of what we send: narrowband, wideband or fullband."""

    thin: bool = False
    """The path takes so little that our voice goes in packets of 120 ms, like an old telephone."""

    too_thin: bool = False
    """The path does not even take that: what we say does not arrive whole.  A voice message would.
    """
