"""One spurt of a talk group in the voice process: who speaks, who hears, who gets it next."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from appliance.adapters.udp import Address, HopSocket
from appliance.media.pcm import SILENCE, SILENT_DB, fade_in, fade_out, level_db
from appliance.media.talk_receiver import SpurtReceiver
from appliance.media.talk_relay import Relay
from appliance.media.talk_replay import Piece
from appliance.media.talk_sender import SpurtSender
from appliance.model.secret import Secret
from appliance.model.talk_media import TalkHop
from appliance.protocol.jitter import FRAME

TAIL_S = 0.6
"""How long after its end what is on its way still goes on and is played."""

ON_ITS_WAY_S = 0.15
"""After its end, with nothing held any more, nothing is made up for longer than this."""

Ways = Mapping[TalkHop, tuple[HopSocket, Address]]


class Spurt:
    """From the moment that the daemon tells of it until its tail has been played."""

    def __init__(self, name: str, ssrc: int, keep: Callable[[Piece], None], now: float) -> None:
        """``keep`` gets what is said and heard."""
        self.name = name
        self._ssrc = ssrc
        self._relay = Relay(ssrc, now)
        self._keep = keep
        self._now = now
        self._sender: SpurtSender | None = None
        self._said = False
        self._receiver: SpurtReceiver | None = None
        self._faded_in = False
        self._level_db = SILENT_DB
        self._ended: float | None = None
        self.packets_in = self.packets_out = self.forwarded = self.rejected = 0

    # What the daemon wants

    def speak(self, suite: str, key: Secret, now: float) -> None:
        """Begin to send, once: the key must not be used again.  Raises `SrtpError`, `OpusError`."""
        self._sender = SpurtSender(suite, key, ssrc=self._ssrc, now=now)
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

    def set_children(self, ways: Ways) -> None:
        """Whom it goes on to."""
        self._relay.set_children(ways)

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
        first = not self._sender.packets
        made = self._sender.frame(frame, now)
        if made is None:
            return False
        data, timestamp, sound = made
        self._level_db = level_db(frame)
        self.packets_out += self._relay.spread(data, now)
        self._keep(Piece(self.name, now, timestamp, FRAME, sound))
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
        sent = self._relay.spread(data, now)
        self.packets_out += sent
        self.forwarded += sent

    def _kept(self, timestamp: int, samples: int, sound: bytes) -> None:
        self._keep(Piece(self.name, self._now, timestamp, samples, sound))

    def beat(self) -> None:
        """20 ms have passed."""
        sent = self._relay.beat()
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
