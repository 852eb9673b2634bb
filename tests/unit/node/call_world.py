"""Stations' `Calls` joined by a fake link and fake voice processes, in virtual time.

Sessions lose what is in flight when they break, as real ones do.  Sound arrives when both voice
processes run, hold each other's keys, and send to a socket that the other really has.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from fake_streams import FakeStream

from appliance.model.call import Call, CallState, EndReason
from appliance.model.conference_media import Mix
from appliance.model.identity import Address, StationId
from appliance.model.kept_call import KeptCalls
from appliance.model.media import (
    FirstSound,
    MediaCommand,
    MediaEvent,
    MediaReady,
    OpenStream,
    Ring,
    SetStream,
    SoundProblem,
    SoundWarning,
    StartStream,
    StopStream,
    StreamClosed,
    StreamFailed,
    StreamOpened,
    StreamStats,
)
from appliance.node import call_effects as out
from appliance.node.calls import Calls
from appliance.protocol.kept_calls import decode, encode

TICK_S = 0.5
DELAY_S = 0.01


@dataclass
class Node:
    """One station."""

    name: str
    id: StationId
    calls: Calls
    world: World
    alive: bool = True
    media_alive: bool = True
    media_answers: bool = True
    streams: dict[str, FakeStream] = field(default_factory=dict)
    mixes: dict[str, Mix] = field(default_factory=dict)
    opened: set[str] = field(default_factory=set)
    stopped: set[str] = field(default_factory=set)
    tones: list[str | None] = field(default_factory=list)
    changes: list[Call] = field(default_factory=list)
    settings: list[SetStream] = field(default_factory=list)
    needed: list[StationId] = field(default_factory=list)
    asked: list[tuple[StationId, float]] = field(default_factory=list)
    sip: list[tuple[StationId, bytes]] = field(default_factory=list)
    sessions: dict[StationId, int] = field(default_factory=dict)
    fail_open: SoundProblem | None = None
    boot: bytes = b"start 1"
    note: bytes = encode(KeptCalls("machine", 0.0, ()))

    @property
    def address(self) -> Address:
        return Address(self.id)

    @property
    def host(self) -> str:
        """The end of its addresses: its name where that is a hexadecimal digit."""
        return self.name if self.name in "abcdef" else f"{ord(self.name):x}"

    def pump(self) -> None:
        """Carry out the effects."""
        for effect in self.calls.take_effects():
            if isinstance(effect, out.SendSip):
                self.sip.append((effect.peer, effect.data))
                self.world.carry(self, effect.peer, effect.data)
            elif isinstance(effect, out.Media):
                self.command(effect.command)
            elif isinstance(effect, out.CallChanged):
                self.changes.append(effect.call)
            elif isinstance(effect, out.NeedSession):
                self.needed.append(effect.peer)
            elif isinstance(effect, out.AskSession):
                self.asked.append((effect.peer, self.world.now))
            elif isinstance(effect, out.KeepCalls):
                self.note = encode(KeptCalls("machine", 0.0, effect.calls))
        self.world.arm(self)

    def command(self, command: MediaCommand) -> None:
        if isinstance(command, Ring):
            self.tones.append(command.tone)
            return
        if isinstance(command, Mix):
            self.mixes.pop(command.mix, None)
            if command.streams:
                self.mixes[command.mix] = command
            return
        if isinstance(command, OpenStream):
            self.opened.add(command.stream)
        if isinstance(command, StopStream):
            self.stopped.add(command.stream)
        if isinstance(command, StartStream):
            self.world.check_keys(command)
        if not self.media_alive:
            return
        if isinstance(command, OpenStream):
            self._open(command)
        elif isinstance(command, StartStream):
            stream = self.streams.get(command.stream)
            if stream is None:  # of a process that has died; the word of it is on its way
                return
            if stream.next_port:
                stream.host, stream.port = stream.next_host, stream.next_port
                stream.next_port = 0
            stream.start = command
        elif isinstance(command, SetStream):
            self.settings.append(command)
        elif isinstance(command, StopStream) and command.stream in self.streams:
            del self.streams[command.stream]
            self.media(StreamClosed(command.stream))

    def _open(self, command: OpenStream) -> None:
        if self.fail_open is not None:
            self.media(StreamFailed(command.stream, self.fail_open, "no socket"))
            return
        port = next(self.world.ports)
        stream = self.streams.get(command.stream)
        if stream is None:
            self.streams[command.stream] = FakeStream(command.local_host, port)
        else:
            stream.next_host, stream.next_port = command.local_host, port
            if stream.start is None:
                stream.host, stream.port = command.local_host, port
        if self.media_answers:
            self.media(StreamOpened(command.stream, port))

    def media(self, event: MediaEvent) -> None:
        """Let the voice process say something, a moment later."""
        self.world.after(0.0, lambda: self._media(event))

    def _media(self, event: MediaEvent) -> None:
        self.calls.media_event(event, now=self.world.now)
        self.pump()

    def kill_media(self) -> None:
        """Kill the voice process; the daemon notices."""
        self.media_alive = False
        for stream in list(self.streams):
            self.media(StreamFailed(stream, SoundProblem.MEDIA_GONE, "it died"))
        self.streams.clear()
        self.mixes.clear()

    def restart_media(self) -> None:
        self.media_alive = True
        self.media(MediaReady(1, False, False, "fake"))

    def place(self, to: Node, **files: str) -> str:
        call_id = self.calls.place(to.address, now=self.world.now, **files)
        self.pump()
        return call_id

    def answer(self, **files: str) -> None:
        self.calls.answer(self.ringing.id, now=self.world.now, **files)
        self.pump()

    def decline(self) -> None:
        self.calls.decline(self.ringing.id, now=self.world.now)
        self.pump()

    def hangup(self) -> None:
        self.calls.hangup(self.call.id, now=self.world.now)
        self.pump()

    @property
    def ringing(self) -> Call:
        return next(c for c in self.calls.active if c.state is CallState.RINGING_HERE)

    @property
    def call(self) -> Call:
        (call,) = self.calls.active
        return call

    @property
    def state(self) -> CallState:
        return self.call.state

    @property
    def ended(self) -> EndReason | None:
        """Why the last call is over; None: one is going on."""
        return None if self.calls.active else self.calls.history[-1].end_reason

    @property
    def tone(self) -> str | None:
        return self.tones[-1] if self.tones else None


class World:
    """Stations, the links between them, and the clock."""

    def __init__(self, names: str = "ab", seed: int = 1) -> None:
        self.random = random.Random(seed)
        self.now = 1000.0
        self.ports = itertools.count(20_000, 2)
        self.sent_keys: set[bytes] = set()
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._armed: dict[str, float] = {}
        self._epochs = itertools.count(1)
        self.sound_cut: set[frozenset[StationId]] = set()
        ids = sorted(StationId(self.random.randbytes(32)) for _ in names)
        self.nodes = [Node(n, i, self._calls(i), self) for n, i in zip(names, ids, strict=True)]
        self.after(TICK_S, self._tick)

    def _calls(self, station: StationId) -> Calls:
        return Calls(station=station, random_bytes=self.random.randbytes)

    # Time

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.now + delay_s, next(self._order), action))

    def arm(self, node: Node) -> None:
        at = node.calls.next_wakeup()
        if at < self._armed.get(node.name, float("inf")):
            self._armed[node.name] = at
            self.after(max(0.0, at - self.now), lambda: self._wake(node))

    def _wake(self, node: Node) -> None:
        self._armed.pop(node.name, None)
        if node.calls.next_wakeup() <= self.now:
            node.calls.wakeup(now=self.now)
            assert node.calls.next_wakeup() > self.now, "a wake-up that does nothing"
        node.pump()

    def run(self, seconds: float = 1.0) -> None:
        end = self.now + seconds
        while self._queue and self._queue[0][0] <= end:
            self.now, _, action = heapq.heappop(self._queue)
            action()
        self.now = end

    # Sessions

    def connect(self, a: Node, b: Node, *, path: int = 1, lag_s: float = 0.0) -> None:
        """Give two stations a new session on some path; `lag_s`: b learns of it later."""
        epoch = next(self._epochs)
        for node, peer, delay in ((a, b, 0.0), (b, a, lag_s)):
            self.after(delay, partial(self._up, node, peer, epoch, path))
        self.run(lag_s)

    def _up(self, node: Node, peer: Node, epoch: int, path: int) -> None:
        node.sessions[peer.id] = epoch
        node.calls.session_up(
            peer.id,
            boot=peer.boot,
            local_host=f"fe80::{path}:{node.host}%eth{path}",
            remote_host=f"fe80::{path}:{peer.host}%eth{path}",
            now=self.now,
        )
        node.pump()

    def cut(self, a: Node, b: Node, *, sound_too: bool = False) -> None:
        """Break the session; what is in flight is lost."""
        if sound_too:
            self.sound_cut.add(frozenset({a.id, b.id}))
        for node, peer in ((a, b), (b, a)):
            if node.sessions.pop(peer.id, None) is not None:
                node.calls.session_down(peer.id, now=self.now)
                node.pump()

    def mend_sound(self) -> None:
        self.sound_cut.clear()

    def carry(self, sender: Node, to: StationId, data: bytes) -> None:
        epoch = sender.sessions.get(to)
        receiver = next(n for n in self.nodes if n.id == to)
        if epoch is not None:
            self.after(DELAY_S, lambda: self._deliver(sender, receiver, epoch, data))

    def _deliver(self, sender: Node, receiver: Node, epoch: int, data: bytes) -> None:
        if sender.sessions.get(receiver.id) != epoch:
            return
        if receiver.sessions.get(sender.id) != epoch:  # it has not noticed the session yet
            self.after(DELAY_S, lambda: self._deliver(sender, receiver, epoch, data))
            return
        receiver.calls.sip_received(sender.id, data, now=self.now)
        receiver.pump()

    def restart(
        self, node: Node, *, remembers: bool = False, down_s: float = 0.0, voice_lives: bool = False
    ) -> None:
        """Kill a daemon and start it again, with no session.

        `remembers`: it finds the note of its calls.  `voice_lives`: the voice process is a service.
        """
        died_at = self.now
        for peer in self.nodes:
            if peer is not node:
                self.cut(node, peer)
        node.calls = Calls(station=node.id, random_bytes=bytes)  # nobody is there
        if not voice_lives:
            node.streams.clear()
            node.mixes.clear()
        self.run(down_s)
        node.calls = self._calls(node.id)
        node.boot += b"+"
        node.opened.clear()
        node.stopped.clear()
        node.tones.clear()
        self._armed.pop(node.name, None)
        if remembers:
            kept = decode(node.note).calls
            node.opened |= {one.id for one in kept}
            node.calls.restore(kept, lost_at=died_at, now=self.now)
            node.pump()
        if voice_lives and node.media_alive:
            node.media(MediaReady(1, False, False, "fake", tuple(node.streams)))

    # Sound

    def check_keys(self, start: StartStream) -> None:
        assert start.send_key != start.receive_key
        assert start.send_key.value not in self.sent_keys, "a key was used twice"
        self.sent_keys.add(start.send_key.value)

    def _tick(self) -> None:
        for node in self.nodes:
            for name, stream in list(node.streams.items()):
                if stream.start is not None:
                    self._listen(node, name, stream, stream.start)
        self.after(TICK_S, self._tick)

    def hears(self, node: Node, start: StartStream) -> bool:
        """Tell whether somebody sends what this stream can hear."""
        for peer in self.nodes:
            for other in peer.streams.values():
                theirs = other.start
                if peer is node or theirs is None:
                    continue
                if frozenset({peer.id, node.id}) in self.sound_cut:
                    continue
                mine = node.streams[start.stream]
                here = (mine.host.partition("%")[0], mine.port)
                there = (theirs.remote_host.partition("%")[0], theirs.remote_port)
                same = theirs.send_key == start.receive_key
                if same and here == there and theirs.crypto_suite == start.crypto_suite:
                    return True
        return False

    def _listen(self, node: Node, name: str, stream: FakeStream, start: StartStream) -> None:
        if self.hears(node, start):
            stream.packets += 25
            stream.silent_since = None
            if not stream.heard:
                stream.heard = True
                node.media(FirstSound(name))
            if stream.warned:
                stream.warned = False
                node.media(SoundWarning(name, SoundProblem.NO_SOUND_ARRIVING, True, ""))
        else:
            stream.silent_since = stream.silent_since or self.now
            if self.now - stream.silent_since >= 1.5 and not stream.warned:
                stream.warned = True
                problem = SoundProblem.NO_SOUND_ARRIVING
                node.media(SoundWarning(name, problem, False, "Nothing is heard."))
        zero = (0.0,) * 5
        node.media(StreamStats(name, *zero, 0, stream.packets, 0, 0, 0.0))

    def talk(self) -> tuple[Node, Node]:
        """Bring the first two stations into a call."""
        a, b = self.nodes[:2]
        if b.id not in a.sessions:
            self.connect(a, b)
        a.place(b)
        self.run()
        b.answer()
        self.run(2)
        assert (a.state, b.state) == (CallState.TALKING, CallState.TALKING)
        return a, b

    def check_quiet(self) -> None:
        """Check that nothing is left of any call."""
        for node in self.nodes:
            assert not node.calls.active
            assert node.opened == node.stopped, "a stream was left open"
            assert not node.streams
            assert not node.mixes
            assert node.tone in {None, "busy"}
