"""Talk groups: push to talk, as on a radio, with no server.

Whoever presses the key claims the floor of a channel; claims go to everybody, and all who have
heard the same ones agree on who has it (`talk_spurts`).  Those who listen ask for the sound, hop by
hop towards the speaker (`talk_tree`).  Everything here follows from what is known: after each
input, what is not so yet is brought about.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from appliance.model.codec import FormatError
from appliance.model.group import Conversation, GroupId
from appliance.model.identity import StationId, StationKey
from appliance.model.media import MediaReady
from appliance.model.record import Precedence
from appliance.model.talk import KeyState, TalkView
from appliance.model.talk_media import (
    REPLAY_S,
    ReplayTalk,
    StopReplay,
    TalkCommand,
    TalkEvent,
    TalkFailed,
    TalkOpened,
    TalkStats,
    TalkTone,
)
from appliance.node.beginnings import Now
from appliance.node.call_effects import Media, NeedSession
from appliance.node.call_gate import CallGate
from appliance.node.effects import Effect, Send, TalkChanged
from appliance.node.group_book import GroupBook
from appliance.node.talk_board import Files, TalkBoard, TalkRefusedError, talk_name
from appliance.node.talk_channels import TalkChannels, read_listened
from appliance.node.talk_key import TalkKey
from appliance.node.talk_spurts import Spurts
from appliance.node.talk_tree import TalkTree, Use
from appliance.node.usage import SessionInfo
from appliance.protocol.frames import Channel
from appliance.protocol.talk import (
    MAX_HOPS,
    MAX_ORDER,
    Flooded,
    Full,
    Join,
    Joined,
    Leave,
    TalkMessage,
    Thin,
    decode_talk,
    encode_talk,
)
from appliance.protocol.talk_keys import spurt_key

log = logging.getLogger(__name__)

MAX_LISTENED: Final = 8
"""Channels that are listened to; the other places of the voice process are for passing on."""

MAX_STEP: Final = 1 << 20
"""How far one claim moves the order that ours will have, so that a liar can't use it up."""

TICK_S: Final = 0.5
"""How often the tree is looked at while there is one: routes change without a word to us."""

JOINS_BURST: Final = 64
JOIN_EVERY_S: Final = 0.02
"""What one neighbour may ask in a row, and seconds until it may ask once more."""


class Talk:
    """All channels of this station."""

    def __init__(
        self,
        key: StationKey,
        boot: bytes,
        book: GroupBook,
        *,
        next_hop: Callable[[StationId], StationId | None],
        is_stranger: Callable[[StationId], bool],
        name_of: Callable[[StationId], str],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """`next_hop` knows the neighbour over which a station is reached, where that is known."""
        self._own = key.id
        self._effects: list[Effect] = []
        self.channels = TalkChannels(book)
        """Those that our operator may use."""

        self._spurts = Spurts(key.id, is_stranger=is_stranger)
        self._tree = TalkTree(
            emit=self._emit,
            send=self._send,
            need=lambda peer: self._effects.append(NeedSession(peer)),
            next_hop=next_hop,
        )
        self._key = TalkKey(key, boot, random_bytes=random_bytes, claimed=self._claimed)
        self._board = TalkBoard(key.id, self.channels, self._spurts, self._key, name_of=name_of)
        self._orders: dict[bytes, int] = {}
        self._asked = CallGate(burst=JOINS_BURST, refill_s=JOIN_EVERY_S)
        self._tick_at: float | None = None

    # -- What there is

    def views(self) -> tuple[TalkView, ...]:
        """Return all channels that our operator may use."""
        return tuple(self._board.view(channel, group) for channel, group in self.channels.all())

    def listened(self) -> tuple[Conversation, ...]:
        """Return the channels that are listened to, to be kept over a restart."""
        return tuple(group for _, group in self.channels.of(self._board.listening))

    def in_use(self, peer: StationId) -> bool:
        """Tell whether a session is needed, since sound comes from there or goes there."""
        return self._tree.in_use(peer)

    # -- What our operator does

    def load(self, value: bytes | None) -> None:
        """Listen to what was listened to before the start, as the store has kept it."""
        try:
            wanted = read_listened(value)
        except FormatError as error:
            log.warning("which channels were listened to is lost: %s", error)
            wanted = read_listened(None)
        for channel, group in self.channels.all():
            if group in wanted and len(self._board.listening) < MAX_LISTENED:
                self._board.listening[channel] = Files()
        self._board.changes()  # that is how it was, and nothing new

    def listen(
        self, group: GroupId | None, now: Now, *, on: bool, record: str | None = None
    ) -> list[Effect]:
        """Hear a channel, or no more; raises TalkRefusedError."""
        channel = self._known(group)
        if not on:
            if self._key.channel == channel:
                self._key.release(now.monotonic)
            self._board.listening.pop(channel, None)
        else:
            self._check_room(channel)
            before = self._board.listening.get(channel, Files())
            self._board.listening[channel] = replace(before, record=record or before.record)
        return self._settle(now)

    def press(
        self,
        group: GroupId | None,
        now: Now,
        *,
        precedence: Precedence = Precedence.ROUTINE,
        play: str | None = None,
    ) -> list[Effect]:
        """Press the key of a channel; speaking begins when the floor is free.

        Raises TalkRefusedError.  A key that is pressed elsewhere is let go there.
        """
        channel = self._known(group)
        self._check_press(channel, now)
        held = self._key.state in {KeyState.WAITING, KeyState.SPEAKING}
        if held and self._key.channel == channel:
            self._key.raise_to(precedence)
            return self._settle(now)
        self._key.release(now.monotonic)
        files = self._board.listening.get(channel, Files())
        self._board.listening[channel] = replace(files, play=play)
        order = min(self._orders.get(channel, 0) + 1, MAX_ORDER - 1)
        self._key.press(channel, precedence, order, now=now.monotonic)
        effects = self._settle(now)
        if self._key.state is KeyState.WAITING:
            self._key.detail = self._board.who_talks(channel)
            effects.append(Media(TalkTone("talk-busy")))
        return [*effects, *self._settle(now)]

    def _check_room(self, channel: bytes) -> None:
        if channel not in self._board.listening and len(self.listened()) >= MAX_LISTENED:
            raise TalkRefusedError(
                "too-many", f"You listen to {MAX_LISTENED} channels.", "Turn one off first."
            )

    def _check_press(self, channel: bytes, now: Now) -> None:
        self._check_room(channel)
        if self.channels.is_alone(channel):
            raise TalkRefusedError("alone", "Nobody else is in this group.", "Invite somebody.")
        if not self._tree.sessions:
            raise TalkRefusedError(
                "nobody", "No station is in reach: nobody would hear you.", "Write a message."
            )
        if self.channels.sending_key(channel, now.moment.awake_s) is None:
            raise TalkRefusedError(
                "no-key",
                "This group needs a new key, since somebody has left it or a week is over.",
                "Write a message to the group: that makes one.",
            )

    def needs_key(self, group: GroupId, now: Now) -> bool:
        """Tell whether a group of ours has to have a new key before anybody speaks in it."""
        channel = next((one for one, known in self.channels.all() if known == group), None)
        if channel is None or self.channels.is_alone(channel):
            return False
        return self.channels.sending_key(channel, now.moment.awake_s) is None

    def stop(self, now: Now) -> list[Effect]:
        """Let go, since this program ends."""
        self._key.release(now.monotonic)
        return self._settle(now)

    def release(self, group: GroupId | None, now: Now) -> list[Effect]:
        """Let the key go; nothing happens where it is not pressed."""
        if self._key.channel == self._known(group):
            self._key.release(now.monotonic)
        return self._settle(now)

    def replay(self, group: GroupId | None, *, on: bool, from_s: float = REPLAY_S) -> list[Effect]:
        """Play again what was said lately, or stop that."""
        self._board.asks_anew(self._known(group))
        talk = talk_name(group)
        return [Media(ReplayTalk(talk, from_s) if on else StopReplay(talk))]

    def _known(self, group: GroupId | None) -> bytes:
        for channel, one in self.channels.all():
            if one == group:
                return channel
        raise TalkRefusedError("no-such-channel", "You are not in a group with this id.")

    # -- What comes

    def session_up(self, info: SessionInfo, now: Now) -> list[Effect]:
        """A session stands: its other end learns who speaks."""
        if not info.talks:
            return self.session_down(info.peer, now)  # it would never pass anything on
        self._tree.session_up(info)
        for spurt in self._spurts:
            self._pass_on(spurt.flood, spurt.hops(self._own), [info.peer])
        return self._settle(now)

    def session_down(self, peer: StationId, now: Now) -> list[Effect]:
        """A session ended."""
        self._tree.session_down(peer)
        self._spurts.forget_peer(peer)
        return self._settle(now)

    def received(self, peer: StationId, data: bytes, now: Now) -> list[Effect]:
        """Take a message; raises FormatError."""
        message = decode_talk(data)
        if isinstance(message, Flooded):
            self._take_claim(peer, message, now)
        elif message is not None and self._asked.allows(peer, now.monotonic):
            match message:
                case Join():
                    self._tree.joined(peer, message, now.monotonic)
                case Leave(spurt):
                    self._tree.left(peer, spurt)
                case Joined(spurt, port):
                    self._tree.answered(peer, spurt, port, now.monotonic)
                case Full(spurt):
                    self._tree.answered(peer, spurt, None, now.monotonic)
                case Thin(spurt) if self._tree.thinned(peer, spurt, now.monotonic):
                    self._board.too_thin(spurt)
        return self._settle(now)

    def _take_claim(self, peer: StationId, flood: Flooded, now: Now) -> None:
        if not self._spurts.take(peer, flood, now):
            return
        claim = flood.claim
        if self.channels.admits(claim):
            highest = self._orders.get(claim.channel, 0)
            self._orders[claim.channel] = max(highest, min(claim.order, highest + MAX_STEP))
        spurt = self._spurts.get(claim.spurt)
        told = {peer} if spurt is None else set(spurt.tellers())
        self._pass_on(
            flood, flood.hops + 1, [one for one in self._tree.sessions if one not in told]
        )

    def media_event(self, event: TalkEvent | MediaReady, now: Now) -> list[Effect]:
        """The voice process says something."""
        match event:
            case MediaReady():
                self._tree.media_lost()
                self._board.silence()
            case TalkOpened(talk, host, port):
                self._tree.sockets.opened(talk, host, port)
            case TalkFailed(talk, host, detail):
                self._board.take(event)
                if host is None:
                    self._failed(talk, detail, now)
            case TalkStats():
                self._tree.measured(event, now.monotonic)
                self._board.take(event)
            case _:
                self._board.take(event)
        return self._settle(now)

    def _failed(self, talk: str, detail: str, now: Now) -> None:
        pressed = self._key.state is KeyState.SPEAKING and any(
            talk_name(group) == talk and channel == self._key.channel
            for channel, group in self.channels.all()
        )
        if pressed:
            self._key.end(detail, now.monotonic)
            self._emit(TalkTone("talk-busy"))

    # -- Time

    def next_wakeup(self) -> float | None:
        """Say when to call `wakeup`, in monotonic seconds."""
        times = (self._tick_at, self._key.next_wakeup(), self._spurts.next_wakeup())
        return min((time for time in times if time is not None), default=None)

    def wakeup(self, now: Now) -> list[Effect]:
        """Do what is due."""
        self._spurts.wakeup(now.monotonic)
        if self._key.wakeup(now.monotonic):
            self._emit(TalkTone("talk-busy"))
        return self._settle(now)

    # -- What follows

    def _settle(self, now: Now) -> list[Effect]:
        self._settle_key(now)
        self._board.forget_keys()
        self._tree.settle(self._uses(), now.monotonic)
        self._tick_at = now.monotonic + TICK_S if self._tree.active else None
        self._show()
        effects, self._effects = self._effects, []
        return effects

    def _settle_key(self, now: Now) -> None:
        channel = self._key.channel
        if channel is None:
            return
        if not list(self.channels.of([channel])):
            self._key.release(now.monotonic)  # we are no member any more
            return
        floor = self._board.floor(channel)
        if self._key.state is KeyState.SPEAKING:
            if floor is not None and floor.speaker != self._own:
                self._key.lost(self._board.who_talks(channel), now.monotonic)
                self._emit(TalkTone("talk-busy"))
        elif self._key.state is KeyState.WAITING:
            free = floor is None or floor.flood.claim.precedence < self._key.precedence
            key = self.channels.sending_key(channel, now.moment.awake_s)
            if free and key is not None:
                self._key.start(key.id, now)
                assert self._key.claim is not None
                self._board.keep_key(self._key.claim.spurt, spurt_key(key.secret, self._key.claim))
                self._emit(TalkTone("talk-go"))
            elif not free:
                self._key.detail = self._board.who_talks(channel)

    def _uses(self) -> list[Use]:
        uses = []
        known = {}
        for channel, group in self._board.active():
            known[channel] = talk_name(group)
            spurt = self._board.floor(channel)
            files = self._board.listening.get(channel, Files())
            speaking = spurt is not None and spurt.speaker == self._own
            use = Use(
                known[channel],
                spurt,
                speaking=speaking,
                listening=channel in self._board.listening,
                key=None if spurt is None else self._board.key_of(spurt),
                play=files.play,
                record=files.record,
            )
            uses.append(use)
        strange = (one for one in self._spurts if one.flood.claim.channel not in known)
        return [*uses, *(Use(f"relay-{spurt.id.hex()}", spurt) for spurt in strange)]

    def _show(self) -> None:
        """Tell of what has changed, and let be heard that somebody has finished."""
        changed, ended = self._board.changes()
        self._effects += [TalkChanged(group) for group in changed]
        if ended:
            self._emit(TalkTone("talk-over"))

    def _claimed(self, flood: Flooded, now: float) -> None:
        self._spurts.own(flood, now)
        claim = flood.claim
        self._orders[claim.channel] = max(self._orders.get(claim.channel, 0), claim.order)
        self._pass_on(flood, 0, list(self._tree.sessions))

    def _pass_on(self, flood: Flooded, hops: int, to: Iterable[StationId]) -> None:
        if hops < MAX_HOPS:
            data = encode_talk(replace(flood, hops=hops))
            self._effects += [Send(peer, Channel.TALK, data) for peer in to]

    def _send(self, peer: StationId, message: TalkMessage) -> None:
        self._effects.append(Send(peer, Channel.TALK, encode_talk(message)))

    def _emit(self, command: TalkCommand) -> None:
        self._effects.append(Media(command))
