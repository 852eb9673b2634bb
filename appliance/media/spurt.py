"""One spurt of a talk group in the voice process: who speaks, who hears, who gets it next."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from appliance.adapters.udp import Address, HopSocket
from appliance.media.pcm import SILENCE, SILENT_DB, fade_in, fade_out, level_db
from appliance.media.talk_paths import Arrivals, TalkChoice, TalkPaths, Worst
from appliance.media.talk_receiver import SpurtReceiver
from appliance.media.talk_relay import Relay
from appliance.media.talk_replay import Piece
from appliance.media.talk_sender import SpurtSender
from appliance.model.secret import Secret
from appliance.model.talk_media import TalkHop, TalkReport, TalkStats

TAIL_S = 0.6
"""How long after its end what is on its way still goes on and is played."""

ON_ITS_WAY_S = 0.15
"""After its end, with nothing held any more, nothing is made up for longer than this."""

EARLY_S = (0.2, 0.5)
"""After the first packet of a spurt, the first figures of it."""

Ways = Mapping[TalkHop, tuple[HopSocket, Address]]


class Spurt:
    """From the moment that the daemon tells of it until its tail has been played."""

    def __init__(
        self,
        name: str,
        ssrc: int,
        keep: Callable[[Piece], None],
        now: float,
        *,
        paths: TalkPaths,
        choice: TalkChoice,
    ) -> None:
        """``keep`` gets what is said and heard; ``paths`` and ``choice`` are those of the talk."""
        self.name = name
        self._ssrc = ssrc
        self._relay = Relay(ssrc, now, paths)
        self._choice = choice
        self._arrivals = Arrivals()
        self._keep = keep
        self._now = now
        self._sender: SpurtSender | None = None
        self._said = self._began = False
        self._early: tuple[float, ...] = EARLY_S
        self._receiver: SpurtReceiver | None = None
        self._faded_in = False
        self._level_db = SILENT_DB
        self._ended: float | None = None
        self.packets_in = self.packets_out = self.forwarded = self.rejected = 0

    # What the daemon wants

    def speak(self, suite: str, key: Secret, now: float) -> None:
        """Begin to send, once: the key must not be used again.  Raises `SrtpError`, `OpusError`."""
        wanted = self._choice.decide(self._relay.worst(now), now)
        self._sender = SpurtSender(suite, key, ssrc=self._ssrc, now=now, wanted=wanted)
        self._said = True

    def be_quiet(self, now: float) -> None:
        """Our operator lets go of the key; raises `SrtpError`, `OpusError`."""
        sender, self._sender = self._sender, None
        if sender is not None:
            for data in sender.last(now):
                self.packets_out += self._relay.spread(data, now)

    def hear(self, suite: str, key: Secret, volume_pct: int) -> None:
        """Play what comes from now on; raises `SrtpError`, `OpusError`."""
        if self._receiver is None:
            self._receiver = SpurtReceiver(suite, key, self._kept)
        self._receiver.set_volume_pct(volume_pct)

    def set_volume_pct(self, percent: int) -> None:
        """Loudness here, 0 to 200."""
        if self._receiver is not None:
            self._receiver.set_volume_pct(percent)

    def be_deaf(self) -> None:
        """Pass on only."""
        self._receiver = None

    def set_children(self, ways: Ways, now: float) -> None:
        """Whom it goes on to."""
        self._relay.set_children(ways, now)

    def heard(self, child: TalkHop, report: TalkReport, now: float) -> None:
        """A child tells how it came there."""
        self._relay.heard(child, report, now)
        self._adapt(now)

    def tick(self, now: float) -> None:
        """About every second."""
        self._relay.tick(now)
        self._adapt(now)

    def _adapt(self, now: float) -> None:
        if self._sender is not None:
            self._sender.wanted = self._choice.decide(self._relay.worst(now), now)

    def behind(self, now: float) -> Worst:
        """What those behind us have reported, and we have found of the links to them."""
        return self._relay.worst(now)

    def reports_early(self, now: float) -> bool:
        """Whether figures are wanted before the second is over.

        What comes first tells how long the way is before a queue of ours has made it longer.
        """
        if (
            not self._early
            or not self._arrivals.since
            or now - self._arrivals.since < self._early[0]
        ):
            return False
        self._early = self._early[1:]
        return True

    def stats(self, talk: str, counts: tuple[int, ...], now: float) -> TalkStats:
        """What the daemon is told of it; ``counts``: as in `counts`, since the talk was opened."""
        behind = self._relay.worst(now)
        return TalkStats(
            talk,
            self.name,
            packets_in=counts[0],
            packets_out=counts[1],
            forwarded=counts[2],
            rejected=counts[3],
            level_db=self.level_db,
            loss_pct=self.loss_pct(now),
            report=None if self._said else self._arrivals.report(behind, now),
            cut=self._relay.cut(now),
            without=behind.without if self._said else 0,
        )

    def end(self, now: float) -> None:
        """Nobody speaks any more; raises `SrtpError`, `OpusError`."""
        if self._ended is None:
            self._ended = now
            self.be_quiet(now)

    # What comes and goes

    @property
    def speaking(self) -> bool:
        """Our operator's voice goes into it."""
        return self._sender is not None

    @property
    def hearing(self) -> bool:
        """It is played here."""
        return self._receiver is not None

    @property
    def ended(self) -> bool:
        """Nobody speaks any more; it is played to its end."""
        return self._ended is not None

    def over(self, now: float) -> bool:
        """Its tail has passed."""
        return self._ended is not None and now - self._ended >= TAIL_S and not self._relay.behind

    def microphone(self, frame: bytes, now: float) -> bool:
        """Our next 20 ms; whether they are the first.  Raises `OpusError`, `SrtpError`."""
        if self._sender is None:
            return False
        made = self._sender.frame(frame, now)
        self._level_db = level_db(frame)
        if made is None:
            return False
        self.packets_out += self._relay.spread(made.packet, now)
        self._keep(Piece(self.name, now, made.timestamp, made.samples, made.sound))
        first, self._began = not self._began, True
        return first

    def packet(self, data: bytes, now: float) -> None:
        """A packet came from upstream."""
        self.packets_in += 1
        self._now = now
        genuine = not self._said and self._relay.fits(data)
        if genuine and self._receiver is not None:
            genuine = self._receiver.datagram(data, now) is True
        if not genuine or not self._relay.admits(data, now):
            self.rejected += 1
            return
        self._arrivals.add(data, now)
        sent = self._relay.spread(data, now)
        self.packets_out += sent
        self.forwarded += sent

    def _kept(self, timestamp: int, samples: int, sound: bytes) -> None:
        self._keep(Piece(self.name, self._now, timestamp, samples, sound))

    def beat(self, now: float) -> None:
        """20 ms have passed."""
        sent = self._relay.beat(now)
        self.packets_out += sent
        if not self._said:
            self.forwarded += sent

    # What is heard

    def sound(self, now: float) -> tuple[bytes, bool]:
        """The next 20 ms, and whether they are the first that are heard."""
        receiver = self._receiver
        if receiver is None:
            return SILENCE, False
        before = receiver.playing
        frame = receiver.frame(now)
        self._level_db = receiver.level_db
        silent_s = now - self._ended if self._ended is not None else 0.0
        if silent_s >= ON_ITS_WAY_S and not receiver.buffer.buffered_s:
            self._receiver = None
            return fade_out(frame), False
        if receiver.playing and not self._faded_in:
            self._faded_in = True
            frame = fade_in(frame)
        return frame, receiver.playing and not before

    def cut(self, now: float) -> bytes:
        """Its last 20 ms, faded out: another spurt begins."""
        receiver, self._receiver = self._receiver, None
        if receiver is None or not receiver.playing:
            return SILENCE
        return fade_out(receiver.frame(now))

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Packets that came in, went out, of these were passed on, and were rejected."""
        return self.packets_in, self.packets_out, self.forwarded, self.rejected

    @property
    def level_db(self) -> float:
        """What was said or heard last."""
        return self._level_db

    def loss_pct(self, now: float) -> float:
        """Of what we hear, over the last 5 s."""
        if self._receiver is None:
            return 0.0
        buffer = self._receiver.buffer
        return buffer.reception.loss_pct(now=now, late=buffer.late)
