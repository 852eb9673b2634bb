"""The station: its parts joined, inputs and the time in, effects out.

Every input returns what is to be done, in order.  The parts never call each other; what one learns
is handed to the others here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from appliance.model.codec import FormatError
from appliance.model.identity import Address, StationId
from appliance.model.media import MediaEvent, MediaReady
from appliance.model.record import Stamp
from appliance.model.talk_media import TalkEvent
from appliance.node.beginnings import Identity, Memory, Now
from appliance.node.calls import Calls
from appliance.node.cards import Cards
from appliance.node.clock import LamportClock
from appliance.node.directory import Directory, Trust
from appliance.node.effects import Effect, EndSession, Send, Transact
from appliance.node.gossip import Gossip
from appliance.node.mesh import Mesh
from appliance.node.mesh_map import MeshMap
from appliance.node.own import Own
from appliance.node.peers import Peers
from appliance.node.ports import Moment, Pending, StoredMessage
from appliance.node.post import Post, label
from appliance.node.talk import Talk
from appliance.node.usage import IDLE, SessionInfo
from appliance.node.verification import Comparison, Stage, Verifier
from appliance.node.whereabouts import Whereabouts
from appliance.node.writing import Draft, Recipients
from appliance.protocol.frames import Channel


class Station:
    """One station."""

    def __init__(
        self,
        identity: Identity,
        memory: Memory,
        *,
        random: Callable[[], float],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """`random` is for jitter; `random_bytes` is for keys and must be the kernel's."""
        key = identity.key
        self.id = key.id
        self.bulk_in_use: Callable[[StationId], bool] = lambda _: False
        """Tells whether bulk data is being fetched from a station; for whoever does that to set."""

        self.directory = Directory(key.id, forgotten=self._forgotten)
        self.directory.load(memory.stations)
        self.mesh = Mesh(key.id)
        self.mesh.learn(contact.id for contact in self.directory.all())
        self.peers = Peers(
            key.id,
            random,
            in_use=self._in_use,
            busy=lambda s: self.mailbox.outbox.busy(s),
        )
        self.whereabouts = Whereabouts(self.directory, self.mesh, self.peers, self._look_for_mail)
        self.map = MeshMap(self.mesh, self.peers, random)
        self.clock = LamportClock(identity.boot, memory.highest_order)
        self.post = Post(
            key,
            self.clock,
            memory.cargo,
            prekeys=identity.prekeys,
            prekey=lambda: identity.prekeys.current,
            groups=memory.groups,
            directory=self.directory,
            peers=self.peers,
            absent=self._wanted_by_mail,
            random=random,
            random_bytes=random_bytes,
        )
        if memory.restored:
            self.post.groups.groups.forgot()
        self.mailbox = self.post.mailbox
        self.calls = Calls(station=key.id, random_bytes=random_bytes, way_kbit=self.mesh.rate_kbit)
        self.verifier = Verifier(key.id, random_bytes)
        self.own = Own(identity, memory, stamp=self._stamp, published=self._card_published)
        self.card = self.own.card
        self.gossip = Gossip(
            self.directory, key.id, own_card=lambda: self.card.shown, random=random
        )
        self.cards = Cards(
            key.id,
            self.directory,
            self.gossip,
            self.peers,
            came_back=self.own.came_back,
            learned=self._learned,
        )
        self.talk = self._new_talk(identity, memory, random_bytes)
        self._awake_offset_s = 0.0
        """Monotonic time less that of our being awake; neither jumps."""

    def _new_talk(
        self, identity: Identity, memory: Memory, random_bytes: Callable[[int], bytes]
    ) -> Talk:
        talk = Talk(
            identity.key,
            identity.boot,
            self.post.groups.groups.book,
            next_hop=self.mesh.next_hop,
            is_stranger=lambda station: self.directory.get(station).trust is Trust.NEW,
            name_of=lambda station: label(self.directory.get(station)),
            random_bytes=random_bytes,
        )
        talk.load(memory.talk)
        return talk

    # -- Our card

    @property
    def name(self) -> str:
        """What others see."""
        return self.card.name

    def start(self, now: Now) -> list[Effect]:
        """Make sure that our card is there and names the prekey that we have."""
        self._awake_offset_s = now.monotonic - now.moment.awake_s
        return self.own.start(now)

    def set_name(
        self, name: str, now: Now, *, done: Callable[[], None], failed: Callable[[str], None]
    ) -> list[Effect]:
        """Take another name; raises IdentityError when it is none."""
        return self.own.set_name(name, now, done=done, failed=failed)

    def _stamp(self, now: Now) -> Stamp:
        return self.clock.stamp(now.moment, uptime_s=now.uptime_s)

    def _card_published(self, raw: bytes) -> Sequence[Effect]:
        self.gossip.changed()
        return [Send(s.peer, Channel.CARD, raw) for s in self.peers.sessions()]

    # -- Mail

    def _look_for_mail(self, station: StationId, now: Now) -> list[Effect]:
        """Open a session with somebody who has just come into reach, if something waits for it."""
        if self.peers.session(station) is not None or not self.peers.is_around(station):
            return []

        def found(pending: tuple[tuple[bytes, bytes], ...]) -> Sequence[Effect]:
            return self._wanted_by_mail(station, now.moment) if pending else ()

        return [Transact(Pending(station, now.moment.awake_s, frozenset(), 1), found)]

    def _wanted_by_mail(self, station: StationId, moment: Moment) -> list[Effect]:
        """Something waits for a station with which there is no session."""
        if not self.peers.is_around(station):
            return []  # it is looked for again when there is one
        return self.peers.need(station, moment.awake_s + self._awake_offset_s, lasting=True)

    def _in_use(self, station: StationId) -> bool:
        """Tell whether something is under way with a station that needs its session."""
        return (
            any(call.peer.station == station for call in self.calls.active)
            or self.verifier.running(station) is not None
            or self.bulk_in_use(station)
            or self.talk.in_use(station)
        )

    # -- Sessions

    def session_opened(self, info: SessionInfo, now: Now) -> list[Effect]:
        """A session was proved."""
        before = self.peers.session(info.peer)
        used, effects = self.peers.opened(info)
        if info.peer == self.id:
            return [*effects, *self.own.session_opened(info, now)]
        if not used:
            return effects
        if before is not None:
            self.post.session_down(info.peer)
            effects += self.verifier.session_down(info.peer)
        if self.card.raw is not None:
            effects.append(Send(info.peer, Channel.CARD, self.card.raw))
        elif not self.card.publishing:
            # The disk would not take it at the start.
            effects += self.start(now)
        effects += self.directory.met(info.peer, wall_ms=now.moment.wall_ms, sure=now.moment.sure)
        effects += [*self._learned(info.peer, now), *self.map.session_up(info.peer)]
        if info.over_mesh:
            effects += self.whereabouts.proved(info.peer)
        begin = info.outgoing and self.peers.has_chosen(info.peer)
        effects += self.gossip.session_up(info.peer, now.monotonic, begin=begin)
        effects += self.post.session_up(info, now.moment, begin=begin)
        effects += self.talk.session_up(info, now)
        self.calls.session_up(
            info.peer,
            boot=info.boot,
            local_host=info.local_host,
            remote_host=info.remote_host,
            now=now.monotonic,
        )
        return effects + self.call_effects()

    def session_closed(
        self,
        handle: int,
        peer: StationId,
        now: Now,
        reason: str = "",
        *,
        heard_at: float | None = None,
    ) -> list[Effect]:
        """A session ended, in which something last came at `heard_at`; None: just now."""
        used, effects = self.peers.closed(handle, peer, now.monotonic, reason)
        if not used:
            return effects
        unanswered = self.mailbox.outbox.busy(peer)
        self.post.session_down(peer)
        self.gossip.session_down(peer)
        effects += self.talk.session_down(peer, now)
        effects += self.verifier.session_down(peer)
        effects += self.directory.met(peer, wall_ms=now.moment.wall_ms, sure=now.moment.sure)
        self.calls.session_down(peer, now=now.monotonic, heard_at=heard_at)
        if self._in_use(peer):
            effects += self.peers.need(peer, now.monotonic)
        if reason != IDLE or unanswered:  # what it refuses must not open the next one
            effects += self._look_for_mail(peer, now)
        return effects + self.call_effects()

    def _learned(self, station: StationId, now: Now) -> list[Effect]:
        """A station exists: its address is somebody's now, and may be reached already."""
        self.mesh.learn((station,))
        self.peers.met(station.host, now.monotonic)
        routed = self.mesh.reachable(station) and not self.peers.is_routed(station)
        return [
            *(self.peers.routed(station, reachable=True, now=now.monotonic) if routed else ()),
            *self._look_for_mail(station, now),
            *self.post.groups.learned(station, now.moment, uptime_s=now.uptime_s),
        ]

    def _forgotten(self, station: StationId) -> None:
        """A stranger has made room for another."""
        self.mesh.forget(station)
        self.peers.forget(station)
        self.gossip.changed()

    def message_received(
        self, handle: int, peer: StationId, channel: Channel, data: bytes, now: Now
    ) -> list[Effect]:
        """A message came over a session.  One that has no right form ends the session."""
        if peer == self.id:
            # From a copy of our key, or ourselves: the session is about to end.
            return []
        try:
            return self._message(peer, channel, data, now)
        except FormatError:
            return [EndSession(handle, "protocol-error")]

    def _message(self, peer: StationId, channel: Channel, data: bytes, now: Now) -> list[Effect]:
        if channel is not Channel.CARD:  # everybody's come over and over while stations join
            self.peers.said_something(peer, now.monotonic, gossip=channel is Channel.GOSSIP)
        match channel:
            case Channel.SIP:
                self.calls.sip_received(peer, data, now=now.monotonic)
                return self.call_effects()
            case Channel.RECORD | Channel.ACK | Channel.CARRY | Channel.SYNC:
                return self.post.received(peer, channel, data, now)
            case Channel.CARD:
                return self.cards.received(peer, data, now)
            case Channel.VERIFY:
                return self.verifier.received(peer, data, now.monotonic)
            case Channel.MAP:
                return self.map.received(peer, data, now.monotonic)
            case Channel.TALK:
                return self.talk.received(peer, data, now)
            case Channel.GOSSIP:
                return self.gossip.received(peer, data, now.monotonic)
            case _:
                raise FormatError(f"{channel.name} is not for the station")

    # -- Commands

    def write(
        self,
        draft: Draft,
        now: Now,
        *,
        done: Callable[[StoredMessage], None],
        failed: Callable[[str], None],
    ) -> list[Effect]:
        """Write a message; raises MessageRefusedError."""
        recipients = Recipients()
        if isinstance(draft.to, Address):
            card = self.directory.get(draft.to.station).card
            prekey = card.prekey if card is not None else None
            recipients = Recipients((draft.to.station,), prekey)
        effects = self.mailbox.compose(
            draft, recipients, now.moment, uptime_s=now.uptime_s, done=done, failed=failed
        )
        if isinstance(draft.to, Address):
            effects += self.directory.contacted(draft.to.station)
        return effects

    def call(
        self, to: Address, now: Now, *, play: str | None, record: str | None
    ) -> tuple[str, list[Effect]]:
        """Call somebody; raises CallError.  Returns the call's id."""
        call = self.calls.place(to, play=play, record=record, now=now.monotonic)
        return call, [*self.directory.contacted(to.station), *self.call_effects()]

    def media_event(self, event: MediaEvent, now: Now) -> list[Effect]:
        """The voice process says something."""
        effects: list[Effect] = []
        if isinstance(event, TalkEvent | MediaReady):
            effects = self.talk.media_event(event, now)
        if not isinstance(event, TalkEvent):
            self.calls.media_event(event, now=now.monotonic)
        return effects + self.call_effects()

    def judge(self, comparison: str, *, match: bool) -> tuple[Comparison, list[Effect]]:
        """Take our operator's word on a comparison; raises VerificationRefusedError."""
        judged, effects = self.verifier.judge(comparison, match=match)
        if judged.stage is Stage.VERIFIED:
            effects += self.directory.verified(judged.station)
        else:
            effects += self.directory.distrust(judged.station)
        return judged, effects

    # -- Time

    def next_wakeup(self, now: Now) -> float | None:
        """Say when to call `wakeup`, in monotonic seconds; None: not before another input."""
        offset = now.monotonic - now.moment.awake_s
        first = min(
            self.post.next_wakeup() + offset,
            self.own.next_wakeup(now),
            self.calls.next_wakeup(),
        )
        for time in (
            self.peers.next_wakeup(),
            self.gossip.next_wakeup(),
            self.map.next_wakeup(),
            self.whereabouts.next_wakeup(),
            self.verifier.next_wakeup(),
            self.cards.next_wakeup(),
            self.talk.next_wakeup(),
        ):
            if time is not None and time < first:
                first = time
        return first if first < math.inf else None

    def wakeup(self, now: Now) -> list[Effect]:
        """Do what is due."""
        effects = self.peers.wakeup(now.monotonic)
        effects += self.gossip.wakeup(now.monotonic, self.peers.has_chosen)
        effects += self.map.wakeup(now.monotonic)
        effects += self.whereabouts.wakeup(now)
        effects += self.post.wakeup(now)
        effects += self.verifier.wakeup(now.monotonic)
        effects += [*self.own.wakeup(now), *self.cards.wakeup(now), *self.talk.wakeup(now)]
        self.calls.wakeup(now=now.monotonic)
        return effects + self.call_effects()

    def call_effects(self) -> list[Effect]:
        """Return what the last input to `calls` has led to, also one given to it directly."""
        return [*self.calls.take_effects()]
