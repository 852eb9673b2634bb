"""What INVITE and INFO requests mean for the conference that our console is in."""

from __future__ import annotations

import logging
from math import inf
from typing import Final

from appliance.model.call import CallState, EndReason
from appliance.model.codec import FormatError
from appliance.model.conference import MAX_MEMBERS, MemberState
from appliance.model.identity import CONSOLE, Address, StationId
from appliance.node.active_call import ActiveCall
from appliance.node.call_states import ANSWERED, CallStep
from appliance.node.conference_focus import Focus
from appliance.node.conference_hall import Hall
from appliance.node.conference_room import DOUBT_S, SEARCH_S, Role, Room, Seat
from appliance.node.conference_succession import Succession
from appliance.protocol.conference import Add, Roster, conference_of, read
from appliance.protocol.sip import events as ev

LEFT_CODE: Final = 603
"""To who calls back somebody who has left, or never was there (RFC 3261 section 21.6.2)."""

ELSEWHERE_CODE: Final = 491
"""To who would mix while another one does: try again."""

_log = logging.getLogger(__name__)


class ConferenceSignals:
    """Takes INVITEs of other focuses and what comes in the dialogs of calls."""

    def __init__(self, hall: Hall, focus: Focus, succession: Succession) -> None:
        self._hall = hall
        self._book = hall.book
        self._focus = focus
        self._succession = succession

    def invited(self, event: ev.Invited, caller: Address, now: float) -> bool:
        """Take an INVITE that concerns our conference; False: it is a call like any other."""
        conference, room, agent = conference_of(event.conference), self._hall.room, self._book.agent
        if conference is None:
            return False
        if room is None or room.id != conference:
            if event.again:
                agent.reject(event.leg, LEFT_CODE, now)
            return event.again
        if room.role is Role.LEAVING or not self._may_mix(room, caller.station, now):
            agent.reject(event.leg, ELSEWHERE_CODE, now)
            if room.role is Role.FOCUS:
                self._meet(room, caller.station, now)
            return True
        calls, main = self._hall.calls(), self._hall.main
        mixing = any(self._hall.is_connected(seat, now) for seat in room.seats.values())
        if room.role is Role.FOCUS and mixing:
            self._yield(room, caller.station, None, now)
            main = None
        for seat in room.seats.values():
            seat.call, seat.try_at, seat.told = None, inf, None
        main = main or self._new_main(caller, muted=any(one.call.muted for one in calls), now=now)
        self._take(room, main, event, caller, now)
        for one in calls:
            if one is not main and one.call.id not in room.handed:
                self._book.end(one, EndReason.UNREACHABLE, now)
        return True

    def _may_mix(self, room: Room, station: StationId, now: float) -> bool:
        """Tell whether `station` may take the conference over, as far as we see."""
        seat, ours = room.seats.get(station), room.seats.get(self._book.station)
        if room.role is Role.MEMBER:
            main = self._hall.main
            doubt = (
                main is None
                or main.away_since is not None
                or main.leg is None
                or now >= main.heard_at + DOUBT_S
            )
            return station in {room.focus, room.successor} or (seat is not None and doubt)
        if seat is None or ours is None:
            return False
        if room.role is Role.SEARCHING:
            return True
        if seat.number < ours.number:
            return True
        alone = not any(self._hall.is_connected(one, now) for one in room.seats.values())
        # Both have nobody and call each other: the lower number's call is taken.
        return alone and seat.call is None

    def _meet(self, room: Room, station: StationId, now: float) -> None:
        """Call whoever has just tried to mix for us: it is we who do."""
        seat = room.seats.get(station)
        if seat is None and len(room.seats) < MAX_MEMBERS:
            seat = Seat(station, room.next_number, MemberState.LOST)
            room.seats[station] = seat
            self._focus.lose(seat, now)
            seat.forget_at = now + SEARCH_S
        if seat is not None and seat.state is MemberState.LOST:
            seat.try_at = now

    def _new_main(self, caller: Address, *, muted: bool, now: float) -> ActiveCall:
        active = self._book.begin(
            caller, line=CONSOLE, outgoing=False, state=CallState.CONNECTING, now=now
        )
        active.media.adjust(muted=muted)
        self._book.change(active, answered_at=now, muted=muted)
        return active

    def _take(
        self, room: Room, main: ActiveCall, event: ev.Invited, caller: Address, now: float
    ) -> None:
        """Go over to another focus: the same call for the operator, with its files."""
        self._focus.turn(main, caller.station, now)
        self._book.step(main, CallStep.ANSWER, answered_at=now)
        main.leg, main.offer, main.answer_wanted = event.leg, event.body, True
        room.main, room.role, room.focus = main.call.id, Role.MEMBER, caller.station
        room.successor, room.turn_at, room.search_until = None, inf, inf

    def _yield(self, room: Room, to: StationId, moved_to: str | None, now: float) -> None:
        """Let another focus have our members."""
        others = [s for s in room.ordered() if s.station not in {to, self._book.station}]
        room.wishes = [s.station for s in others if s.state is not MemberState.LOST]
        for seat in others:
            active = self._hall.call_of(seat.call)
            if seat.state is MemberState.CALLING and active is not None:
                seat.call = None
                self._book.end(active, EndReason.CANCELLED, now)
        if (theirs := room.seats.get(to)) is not None:
            theirs.call = None
        self._focus.hand_over(room, to, moved_to, now)

    def informed(self, active: ActiveCall, body: bytes, now: float) -> None:
        """Take what came in the dialog of a call; what does not fit is dropped."""
        try:
            told = read(body)
        except FormatError as error:
            _log.warning("dropped a roster of %s: %s", active.call.peer.station.tag, error)
            return
        if active.call.state not in ANSWERED or active.call.line != CONSOLE:
            return
        if isinstance(told, Add):
            self._wished(told, now)
        else:
            self._rostered(active, told, now)

    def _wished(self, told: Add, now: float) -> None:
        room = self._hall.room
        if room is None or room.id != told.conference or room.role is not Role.FOCUS:
            return
        for station in told.stations:
            seat = room.seats.get(station)
            if seat is not None and seat.state is MemberState.LOST:
                seat.try_at = now
            elif seat is None and len(room.seats) < MAX_MEMBERS:
                self._focus.seat(room, station, now)

    def _rostered(self, active: ActiveCall, told: Roster, now: float) -> None:
        peer, us, room = active.call.peer.station, self._book.station, self._hall.room
        stations = [one.station for one in told.members]
        if us not in stations or (peer not in stations and told.successor is None):
            return
        if room is not None and room.role is Role.FOCUS and room.id != told.conference:
            # Both have made a conference of this call: the lower station's goes on.
            if peer > us or active not in self._hall.calls() or peer not in room.seats:
                return
            self._yield(room, peer, told.conference, now)
            room.id, room.role, room.main = told.conference, Role.MEMBER, active.call.id
        elif room is not None and (room.role is not Role.MEMBER or room.main != active.call.id):
            return
        if room is None:
            room = self._hall.room = Room(told.conference, Role.MEMBER, peer, main=active.call.id)
        room.id, room.focus = told.conference, peer
        room.seats = {
            one.station: Seat(one.station, one.number, one.state, one.talking)
            for one in told.members
        }
        if peer in room.seats:  # a roster comes from a station that knows of the conference
            room.seats[peer].boot = active.peer_boot
        if told.successor is not None:
            self._succeed(room, told, now)

    def _succeed(self, room: Room, told: Roster, now: float) -> None:
        """The focus leaves: its successor calls, which may be we."""
        room.successor = told.successor
        if told.moved_to is not None:
            room.id = told.moved_to
        elif told.successor == self._book.station:
            room.seats.pop(room.focus, None)
            self._succession.take_over(room, now)
