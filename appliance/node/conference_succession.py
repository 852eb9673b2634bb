"""When whoever mixes is gone: who is next, and when."""

from __future__ import annotations

from math import inf

from appliance.model.call import EndReason
from appliance.model.conference import MemberState
from appliance.node.active_call import ActiveCall
from appliance.node.call_states import ANSWERED
from appliance.node.conference_focus import TRY_S, Focus
from appliance.node.conference_hall import Hall
from appliance.node.conference_room import SEARCH_S, TURN_S, Role, Room, connected, silent_at


class Succession:
    """Watches whether there is a focus, and becomes it when it is our turn."""

    def __init__(self, hall: Hall, focus: Focus) -> None:
        self._hall = hall
        self._book = hall.book
        self._focus = focus

    def keep(self, active: ActiveCall, reason: EndReason, now: float) -> bool:
        """Decide whether a call that would end keeps its place in the conference."""
        room = self._hall.room
        if room is None or reason is EndReason.HUNG_UP or active not in self._hall.calls():
            return False
        if active.call.id in room.handed:
            return False
        if room.role is Role.FOCUS:
            return self._lost_member(room, active, reason, now)
        if room.role is Role.LEAVING or active.call.id != room.main or len(room.seats) < 3:
            return False
        if room.role is Role.MEMBER:
            self._search(room, now)
        if now >= room.search_until:
            return False
        self._focus.park(active, now)
        return True

    def _lost_member(self, room: Room, active: ActiveCall, reason: EndReason, now: float) -> bool:
        seat = next((s for s in room.seats.values() if s.call == active.call.id), None)
        was_in = active.call.state in ANSWERED
        unsure = reason is not EndReason.THEY_HUNG_UP or now >= silent_at(active) or not active.leg
        if seat is not None:
            again = reason in {EndReason.UNREACHABLE, EndReason.FAILED, EndReason.THEY_HUNG_UP}
            again = again and unsure and (was_in or seat.forget_at != inf)
            if again and len(room.seats) > 2:
                self._focus.lose(seat, now)
            else:
                del room.seats[seat.station]
        others = [one for one in self._hall.calls() if one is not active]
        lost = any(one.state is MemberState.LOST for one in room.seats.values())
        if room.main != active.call.id:
            return False
        if others or not lost:
            room.main = others[0].call.id if others else None
            return False
        if room.search_until == inf:
            room.search_until = now + SEARCH_S
        if now >= room.search_until:
            return False
        self._focus.park(active, now)
        return True

    def next_wakeup(self) -> float:
        """Return when `due` has something to do; infinity: never."""
        room = self._hall.room
        if room is None:
            return inf
        main = self._hall.main
        times = [room.turn_at, room.search_until, room.handed_until]
        several = len(room.seats) > 2
        if room.role is Role.MEMBER and main is not None and several:
            times.append(silent_at(main))
        elif room.role is Role.FOCUS:
            lost = [s for s in room.seats.values() if s.state is MemberState.LOST]
            times += [min(s.try_at, s.forget_at) if s.call is None else inf for s in lost]
            if several and (calls := self._hall.answered()):
                times.append(max(silent_at(one) for one in calls))
            talking = frozenset(s.station for s in room.seats.values() if s.talking)
            if talking != room.told_talking:
                times.append(room.talking_from)
        return min(times)

    def due(self, now: float) -> None:
        """Do what is due."""
        room = self._hall.room
        if room is None:
            return
        if now >= room.handed_until:
            room.handed_until = inf
            for call in list(room.handed):
                if (active := self._book.active.get(call)) is not None:
                    self._book.end(active, EndReason.HUNG_UP, now)
        main = self._hall.main
        if room.role is Role.MEMBER and main is not None and now >= silent_at(main):
            if len(room.seats) > 2:
                self._search(room, now)
        elif room.role is Role.FOCUS and len(room.seats) > 2:
            calls = self._hall.answered()
            if calls and all(now >= silent_at(one) for one in calls):
                self._search(room, now)
        if room.role is Role.SEARCHING and any(connected(one, now) for one in self._hall.calls()):
            self._found(room)
        if now >= room.search_until:
            room.search_until = inf
            self._give_up(room, now)
        elif room.role is Role.SEARCHING and now >= room.turn_at:
            self.take_over(room, now)
        if room.role is Role.FOCUS:
            self._focus.pursue(room, now)

    def _search(self, room: Room, now: float) -> None:
        """The focus has gone, or everybody has: wait for the next one, or for our turn."""
        room.was_focus = room.role is Role.FOCUS
        room.role, room.search_until, room.turn_at = Role.SEARCHING, now + SEARCH_S, inf
        if not room.was_focus:
            heirs = [seat.station for seat in room.ordered() if seat.station != room.focus]
            if self._book.station in heirs:
                room.turn_at = now + TURN_S * heirs.index(self._book.station)

    def _found(self, room: Room) -> None:
        """It was only a moment."""
        room.role = Role.FOCUS if room.was_focus else Role.MEMBER
        room.turn_at = room.search_until = inf

    def take_over(self, room: Room, now: float) -> None:
        """Mix from now on, and call the others."""
        main = self._hall.main
        if main is None:
            return
        before, us = room.focus, self._book.station
        room.role, room.focus, room.successor = Role.FOCUS, us, None
        room.turn_at, room.search_until = inf, now + SEARCH_S
        room.told_talking = frozenset()
        for seat in room.seats.values():
            seat.talking = False
            if seat.station != us:
                self._focus.lose(seat, now)
                # Our call's place is for one of those who can be reached.
                seat.try_at = now + (TRY_S if seat.station == before else 0.0)
        self._focus.park(main, now)
        self._focus.pursue(room, now)

    def _give_up(self, room: Room, now: float) -> None:
        """Nobody has come back."""
        if room.role is Role.FOCUS and self._hall.answered():
            return
        calls = self._hall.calls()
        self._hall.forget()
        for one in calls:
            self._book.end(one, EndReason.UNREACHABLE, now)
