"""One talk group in the voice process: its sockets, who speaks in it, what was said lately."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from appliance.adapters.opus import OpusError
from appliance.adapters.srtp import SrtpError
from appliance.adapters.udp import Address, HopSocket, UdpError
from appliance.media.files import FileThread
from appliance.media.pcm import SILENCE, mix
from appliance.media.spurt import Spurt
from appliance.media.talk_files import TalkFiles
from appliance.media.talk_paths import TalkChoice, TalkPaths
from appliance.media.talk_replay import History, Replay
from appliance.model.talk_media import (
    ReplayTalk,
    SetTalk,
    TalkEvent,
    TalkFailed,
    TalkHeard,
    TalkHop,
    TalkOpened,
    TalkReplayState,
    TalkStarted,
)

MAX_SOCKETS = 16
"""Of our addresses, one for each link that neighbours are on."""

BEAT_BUDGET = 64
"""Packets read in 20 ms; what a flood brings beyond it is left to the kernel to drop."""

MAX_SPOKEN = 64
"""Spurts of ours that are remembered, so that none is begun twice under one key."""

MAX_TOLD = 16
"""Problems that are remembered as told, so that they are told once for each spurt."""

OPENING_S = 1.0
"""A sound card that has not asked for sound yet may still be opened for this long."""

LOST_S = 0.06
"""One that has asked, and then for this long has not, is gone: time goes on without it."""

THINNER = 0.8
"""A way that takes so much less than was told is told of before the second is over."""

REPLAY_VOLUME = 0.25
"""How loud what is said now is while a replay goes on, so that both can be told apart."""

NOTHING = "Nothing was said here in the last 2 minutes."

Emit = Callable[[TalkEvent], None]


class Talk:
    """A talk from its first `OpenTalk` to `CloseTalk`."""

    def __init__(
        self, name: str, emit: Emit, thread: FileThread, clock: Callable[[], float]
    ) -> None:
        self.name = name
        self._emit = emit
        self._clock = clock
        self._sockets: dict[str, HopSocket] = {}
        self._heard: HopSocket | None = None
        self._spurt: Spurt | None = None
        self._spoken: deque[str] = deque(maxlen=MAX_SPOKEN)
        self._cut = SILENCE
        self._wanted = SetTalk(name, None)
        self._paths, self._choice = TalkPaths(), TalkChoice()
        self._limit: float | None = None
        self._history = History()
        self._replay: Replay | None = None
        self.files = TalkFiles(thread)
        self._told: set[tuple[str | None, str]] = set()
        self._budget = BEAT_BUDGET
        self._began = self._played_at = 0.0
        self._counts: tuple[int, ...] = (0, 0, 0, 0)

    # What the daemon wants

    def open(self, local_host: str) -> None:
        """Bind a socket there, if there is none yet."""
        sock = self._sockets.get(local_host)
        if sock is None:
            try:
                if len(self._sockets) >= MAX_SOCKETS:
                    raise UdpError("There are too many links at once.")
                sock = self._sockets[local_host] = HopSocket(local_host)
            except UdpError as error:
                self._emit(TalkFailed(self.name, local_host, str(error)))
                return
        self._emit(TalkOpened(self.name, local_host, sock.port))

    def set(self, command: SetTalk, files: list[int], now: float) -> None:
        """Be like this from now on; ``files`` came with it, what is kept goes from the list."""
        self._wanted = command
        self.files.follow(command, files)
        if not 0 <= command.ssrc < 1 << 32:
            self._fail(None, "A source was named that can't be.")
            command = replace(command, spurt=None)
        spurt = self._spurt
        if command.spurt != (spurt.name if spurt is not None and not spurt.ended else None):
            self._change(command, now)
        if command.spurt is None or self._spurt is None:
            return
        self._spurt.set_children(self._ways(command), now)
        self._hear_from(command.upstream if not command.speaking else None)
        self._guarded(lambda spurt: self._give_voice(spurt, command, now))

    def _change(self, command: SetTalk, now: float) -> None:
        """Another spurt, or none any more."""
        self._guarded(lambda spurt: spurt.end(now))
        if command.spurt is None:
            return  # It goes on until its tail has been played.
        if self._spurt is not None:
            self._cut = self._spurt.cut(now)
            self._count(self._spurt)
        self._told.clear()
        self._began = now
        self._limit, named = None, (command.spurt, command.ssrc)
        self._spurt = Spurt(*named, self._history.add, now, paths=self._paths, choice=self._choice)

    def _give_voice(self, spurt: Spurt, command: SetTalk, now: float) -> None:
        if command.key is None or not command.listening or command.speaking:
            spurt.be_deaf()
        else:
            spurt.hear(command.suite, command.key, self._volume_pct)
        if not command.speaking:
            spurt.be_quiet(now)
        elif command.key is not None and not spurt.speaking and spurt.name not in self._spoken:
            spurt.speak(command.suite, command.key, now)
            self._spoken.append(spurt.name)

    @property
    def _volume_pct(self) -> int:
        volume = max(0, min(200, self._wanted.volume_pct))
        return int(volume * REPLAY_VOLUME) if self._replay is not None else volume

    def _ways(self, command: SetTalk) -> dict[TalkHop, tuple[HopSocket, Address]]:
        """The children that can be sent to; of the others it is said."""
        ways: dict[TalkHop, tuple[HopSocket, Address]] = {}
        for hop in command.children:
            if hop == command.upstream:
                continue
            try:
                if not 0 < hop.remote_port < 65_536:
                    raise UdpError("A neighbour named a port that can't be.")
                sock = self._socket(hop.local_host)
                ways[hop] = (sock, sock.address(hop.remote_host, hop.remote_port))
            except UdpError as error:
                self._fail(hop.local_host, str(error))
        return ways

    def _socket(self, local_host: str) -> HopSocket:
        if local_host not in self._sockets:
            raise UdpError("There is no socket for it.")
        return self._sockets[local_host]

    def _hear_from(self, upstream: TalkHop | None) -> None:
        sock: HopSocket | None = None
        if upstream is not None:
            try:
                if not 0 <= upstream.remote_port < 65_536:
                    raise UdpError("A neighbour named a port that can't be.")
                sock = self._socket(upstream.local_host)
                sock.hear(upstream.remote_host, upstream.remote_port)
            except UdpError as error:
                sock = None
                self._fail(upstream.local_host, str(error))
        if self._heard is not None and self._heard is not sock:
            self._heard.hear_nobody()
        self._heard = sock

    def _guarded(self, act: Callable[[Spurt], None]) -> None:
        """Do what may need Opus and SRTP with the spurt; what fails is said."""
        if self._spurt is None:
            return
        try:
            act(self._spurt)
        except (SrtpError, OpusError) as error:
            self._fail(None, f"The sound can't be encrypted or encoded: {error}.")

    def _fail(self, local_host: str | None, detail: str) -> None:
        if (local_host, detail) not in self._told and len(self._told) < MAX_TOLD:
            self._told.add((local_host, detail))
            self._emit(TalkFailed(self.name, local_host, detail))

    def heard(self, command: TalkHeard, now: float) -> None:
        """A child reports; what makes the way thinner is told on at once."""
        spurt = self._spurt
        if spurt is None or spurt.ended or spurt.name != command.spurt:
            return
        spurt.heard(command.child, command.report, now)
        limit = spurt.behind(now).limit
        if limit is not None and (self._limit is None or limit < THINNER * self._limit):
            self._tell(spurt)

    def replay(self, command: ReplayTalk, now: float) -> None:
        """Begin to play what was said."""
        self._history.forget(now)
        pieces = self._history.since(now - max(0.0, command.from_s))
        if not pieces:
            self._replay = None
            self._emit(TalkReplayState(self.name, False, 0.0, 0.0, NOTHING))
            return
        try:
            self._replay = Replay(pieces)
        except OpusError as error:
            self._emit(TalkReplayState(self.name, False, 0.0, 0.0, f"It can't be played: {error}."))
            return
        self._began = now
        self._follow_volume()
        self._tell_replay(True)

    def stop_replay(self) -> None:
        """That is enough."""
        if self._replay is not None:
            self._tell_replay(False)
            self._replay = None
            self._follow_volume()

    def _follow_volume(self) -> None:
        if self._spurt is not None:
            self._spurt.set_volume_pct(self._volume_pct)

    def _tell_replay(self, playing: bool) -> None:
        if (replay := self._replay) is not None:
            state = TalkReplayState(self.name, playing, replay.position_s, replay.length_s)
            self._emit(state)

    def close(self) -> None:
        """Give back the sockets; `files.finished` tells when its files are complete."""
        for sock in self._sockets.values():
            sock.close()
        self._sockets.clear()
        self._heard = self._spurt = self._replay = None
        self.files.close()

    # What the loop needs to know

    @property
    def speaking(self) -> bool:
        """Our operator has the key."""
        return self._spurt is not None and self._spurt.speaking

    @property
    def wants_microphone(self) -> bool:
        """A sound card is what is spoken into."""
        return self.speaking and not self.files.plays

    @property
    def listening(self) -> bool:
        """What is said is to be heard."""
        return self._wanted.listening

    @property
    def sounding(self) -> bool:
        """There is something to be heard now, or soon."""
        return self._replay is not None or (self._spurt is not None and self._spurt.hearing)

    @property
    def records(self) -> bool:
        """A file stands in for the speaker."""
        return self.files.records

    @property
    def on_grid(self) -> bool:
        """It wants a beat each 20 ms."""
        return self._spurt is not None or self._replay is not None or self.files.records

    @property
    def thirsty(self) -> bool:
        """There is somebody to be heard, and not too much was read of them in these 20 ms."""
        return self._heard is not None and self._budget > 0

    def fileno(self) -> int:
        """For select, while it is `thirsty`."""
        return self._heard.fileno() if self._heard is not None else -1

    # The beat

    def receive(self) -> None:
        """Packets have come."""
        while self._budget > 0 and self._heard is not None:
            data = self._heard.receive()
            if data is None:
                return
            self._budget -= 1
            if self._spurt is None:
                continue
            if data:
                self._spurt.packet(data, self._clock())
            else:
                self._spurt.rejected += 1

    def microphone(self, frame: bytes, now: float) -> None:
        """20 ms from the sound card, or from the file that stands in for it."""
        spurt = self._spurt
        if spurt is None or not spurt.speaking:
            return

        def speak(spurt: Spurt) -> None:
            if spurt.microphone(frame, now):
                self._emit(TalkStarted(self.name, spurt.name, True, now))

        self._guarded(speak)

    def sound(self, now: float) -> bytes:
        """The next 20 ms of what is said and what is played again."""
        self._played_at = now
        frames = [] if self._cut is SILENCE else [self._cut]
        self._cut = SILENCE
        if self._spurt is not None and self._spurt.hearing:
            frame, first = self._spurt.sound(now)
            frames.append(frame)
            if first:
                self._emit(TalkStarted(self.name, self._spurt.name, False, now))
        if self._replay is not None:
            frames.append(self._replay.frame())
            if self._replay.over:
                self.stop_replay()
        return mix(frames)

    def beat(self, now: float) -> None:
        """20 ms have passed."""
        self._budget = BEAT_BUDGET
        self.receive()  # What has come in time counts.
        if self.speaking and (frame := self.files.microphone()) is not None:
            self.microphone(frame, now)
        if self.files.records:
            self.files.speaker(self.sound(now))
        elif self.sounding and self._without_card(now):
            self.sound(now)
        if self._spurt is not None:
            self._spurt.beat(now)
            if self._spurt.reports_early(now):
                self._tell(self._spurt)
            if self._spurt.over(now):
                self._count(self._spurt)
                self._spurt = None
                self._hear_from(None)

    def _without_card(self, now: float) -> bool:
        """No sound card asks for what is said."""
        if self._played_at >= self._began:
            return now - self._played_at > LOST_S
        return now - self._began > OPENING_S

    # What the daemon hears

    def check(self, microphone: str | None, speaker: str | None) -> None:
        """Say what keeps somebody from being heard; the devices' problems come from outside."""
        if self._spurt is not None:
            problems = [
                microphone if self.wants_microphone else None,
                speaker if self.sounding and not self.files.records else None,
            ]
            for problem in filter(None, problems):
                self._fail(None, problem)
        self.files.check(self._fail)

    def _counts_with(self, spurt: Spurt) -> tuple[int, ...]:
        return tuple(one + other for one, other in zip(self._counts, spurt.counts, strict=True))

    def _count(self, spurt: Spurt) -> None:
        """Add up a spurt that has passed."""
        self._counts = self._counts_with(spurt)

    def tell_stats(self, now: float) -> None:
        """Once a second."""
        self._history.forget(now)
        if self._replay is not None:
            self._tell_replay(True)
        if self._spurt is not None and not self._spurt.ended:
            self._spurt.tick(now)
            self._tell(self._spurt)

    def _tell(self, spurt: Spurt) -> None:
        # What came before this moment counts as come, however late we are to read it.
        now = self._clock()
        self.receive()
        stats = spurt.stats(self.name, self._counts_with(spurt), now)
        self._limit = spurt.behind(now).limit
        self._emit(stats)
