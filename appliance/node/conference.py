"""Conferences: one station mixes, and another takes over when it goes.

A conference is a SIP dialog per member with the focus (RFC 4353, RFC 4579), so each call has keys
of its own and a station of an earlier version is simply in a call.  Everybody has the roster, in
the order of joining: when the focus is lost the next one calls the others, who know the conference
by its id and the caller by its proved key, and go over without asking their operators.  Of two who
mix for the same conference (a split network that has become one again) the lower number goes on.
"""

from __future__ import annotations

from math import inf
from typing import Final

from appliance.model.call import EndReason
from appliance.model.conference import MAX_MEMBERS, MemberState
from appliance.model.conference_media import MixTalking
from appliance.model.identity import CONSOLE, Address, StationId
from appliance.model.media import MediaEvent, MediaReady
from appliance.node.active_call import ActiveCall
from appliance.node.call_book import CallBook
from appliance.node.call_states import ANSWERED
from appliance.node.conference_focus import Focus
from appliance.node.conference_hall import Hall
from appliance.node.conference_room import Role, Room, Seat
from appliance.node.conference_signals import ConferenceSignals
from appliance.node.conference_succession import Succession
from appliance.protocol.conference import Contact, uri_of_conference
from appliance.protocol.sip import events as ev

FULL: Final = "a conference has room for 16: somebody has to leave first"


class ConferenceError(ValueError):
    """A wish of the operator does not fit; the message says why and what to do."""


class Conferences:
    """The conference of the console, if it is in one."""

    def __init__(self, book: CallBook) -> None:
        self._book = book
        self._hall = Hall(book)
        self._focus = Focus(self._hall)
        self._succession = Succession(self._hall, self._focus)
        self._signals = ConferenceSignals(self._hall, self._focus, self._succession)
        book.keep = self._succession.keep

    # Commands of the operator

    def add(self, active: ActiveCall, to: StationId, now: float) -> None:
        """Have another station join the call; raises ConferenceError."""
        if active.call.state not in ANSWERED or active.call.line != CONSOLE:
            raise ConferenceError("nobody can be added before the call is answered")
        if to == self._book.station:
            raise ConferenceError("this is your own station: choose another one to add")
        room = self._hall.room
        members = [active.call.peer.station]
        if room is not None:
            if room.role in {Role.SEARCHING, Role.LEAVING}:
                raise ConferenceError("the conference looks for who mixes: try again in a moment")
            members = [seat.station for seat in room.seats.values()]
            members += [one for one in room.wishes if one not in members]
        if to in members:
            raise ConferenceError("that station is in this call already")
        if len(members) >= MAX_MEMBERS:
            self._make_room()
        room = room or self._begin(active)
        if room.role is Role.MEMBER:
            room.wishes.append(to)
        else:
            self._focus.seat(room, to, now)

    def _make_room(self) -> None:
        """Give up whoever has been lost for longest; raises ConferenceError when all are there."""
        room = self._hall.room
        lost = [] if room is None else [s for s in room.ordered() if s.state is MemberState.LOST]
        if room is None or room.role is not Role.FOCUS or not lost:
            raise ConferenceError(FULL)
        del room.seats[min(lost, key=lambda seat: seat.forget_at).station]

    def _begin(self, active: ActiveCall) -> Room:
        """Make a conference of a call."""
        us = self._book.station
        room = Room(self._book.random_bytes(16).hex(), Role.FOCUS, us, main=active.call.id)
        room.seats[us] = Seat(us, 1, MemberState.IN)
        peer = active.call.peer.station
        room.seats[peer] = Seat(peer, 2, MemberState.IN, call=active.call.id)
        room.seats[peer].boot = active.peer_boot
        self._hall.room = room
        return room

    def together(self, active: ActiveCall) -> list[ActiveCall]:
        """Return the calls that are one for the operator: one microphone, one loudness."""
        calls = self._hall.calls()
        return calls if active in calls else [active]

    def hang_up(self, active: ActiveCall, now: float) -> bool:
        """Leave the conference that a call is part of; False: it is part of none.

        Whoever mixes hands over first, so that nobody else falls out.
        """
        room = self._hall.room
        if room is None or active not in self._hall.calls():
            return False
        if room.role is Role.LEAVING:  # once more: at once
            self._book.end(active, EndReason.HUNG_UP, now)
            return True
        others = [  # by number: the first of them mixes next
            seat
            for seat in room.ordered()
            if seat.state is MemberState.IN and self._hall.is_connected(seat, now)
        ]
        if room.role is Role.FOCUS and len(others) > 1:
            self._leave(room, others[0].station, now)
        else:
            calls = self._hall.calls()
            self._hall.forget()
            for one in calls:
                self._book.end(one, EndReason.HUNG_UP, now)
        return True

    def _leave(self, room: Room, successor: StationId, now: float) -> None:
        rings = [s.call for s in room.seats.values() if s.state is not MemberState.IN]
        room.seats.pop(self._book.station, None)
        for call in rings:
            if call is not None and (active := self._book.active.get(call)) is not None:
                self._book.end(active, EndReason.HUNG_UP, now)
        self._focus.hand_over(room, successor, None, now)
        for call in room.handed:
            if (active := self._book.active.get(call)) is not None:
                active.hung_up = True
        room.role, room.focus, room.main = Role.LEAVING, successor, None

    def contact(self, active: ActiveCall) -> Contact | None:
        """Return the Contact of a call that we place into the conference.

        ``again`` tells whoever knows nothing of this conference not to ring for it.
        """
        room = self._hall.room
        if room is None or room.role is not Role.FOCUS or active not in self._hall.calls():
            return None
        again = any(seat.call == active.call.id and seat.again for seat in room.seats.values())
        uri = uri_of_conference(room.id, self._book.station)
        return Contact(uri, ("isfocus", "again") if again else ("isfocus",))

    # Inputs

    def invited(self, event: ev.Invited, caller: Address, now: float) -> bool:
        """Take an INVITE that concerns our conference; False: it is a call like any other."""
        return self._signals.invited(event, caller, now)

    def informed(self, active: ActiveCall, body: bytes, now: float) -> None:
        """Take what came in the dialog of a call; what does not fit is dropped."""
        self._signals.informed(active, body, now)

    def session_up(self, peer: StationId, now: float) -> None:
        """Learn of a new session: a lost member may be called back at once."""
        room = self._hall.room
        seat = room.seats.get(peer) if room is not None else None
        if room is not None and room.role is Role.FOCUS and seat is not None:
            seat.try_at = min(seat.try_at, now) if seat.state is MemberState.LOST else inf

    def media_event(self, event: MediaEvent, now: float) -> None:
        """Take an event of the voice process: who talks, or that it knows of no mix."""
        room = self._hall.room
        if room is None:
            return
        if isinstance(event, MediaReady):
            room.mixed = None
        elif isinstance(event, MixTalking) and event.mix == room.id and room.role is Role.FOCUS:
            for seat in room.seats.values():
                own = seat.station == self._book.station
                seat.talking = ("" if own else seat.call) in event.talking

    # Time

    def next_wakeup(self) -> float:
        """Return when `settle` has something to do by itself; infinity: never."""
        return self._succession.next_wakeup()

    def settle(self, now: float) -> None:
        """Let everything that follows from the last input, or from the time, happen."""
        hall = self._hall
        if hall.room is not None:
            self._succession.due(now)
        room = hall.room
        if room is None:
            return
        for call in [call for call in room.handed if call not in self._book.active]:
            del room.handed[call]
        if not room.handed:
            room.handed_until = inf
        if room.role is Role.FOCUS:
            self._settle_focus(room, now)
        if not hall.calls():
            hall.forget()
            return
        if room.handed:
            self._focus.tell_handed(room, now)
        if room.role is Role.MEMBER:
            self._focus.wish(room, now)
        self._focus.mix(room)
        view = room.view()
        for active in hall.calls():
            self._book.change(active, conference=view)

    def _settle_focus(self, room: Room, now: float) -> None:
        for seat in room.seats.values():
            active = self._hall.call_of(seat.call)
            if active is None or active.leg is None:
                continue
            if active.call.state in ANSWERED and self._book.agent.is_confirmed(active.leg):
                if seat.state is not MemberState.IN:
                    seat.state, seat.forget_at, seat.again = MemberState.IN, inf, False
                    seat.boot = active.peer_boot
                room.search_until = inf
        self._focus.tell(room, now)
