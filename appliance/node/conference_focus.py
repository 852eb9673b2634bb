"""What a station does that mixes a conference: it calls, tells who is there, and mixes."""

from __future__ import annotations

from math import inf
from typing import Final

from appliance.model.call import CallState
from appliance.model.conference import Member, MemberState
from appliance.model.conference_media import Mix
from appliance.model.identity import CONSOLE, Address, StationId
from appliance.node.active_call import ActiveCall
from appliance.node.call_effects import NeedSession
from appliance.node.call_states import ANSWERED
from appliance.node.conference_hall import Hall
from appliance.node.conference_room import Role, Room, Seat
from appliance.protocol.conference import Add, Roster, written

TRY_S: Final = 2.0
"""Between attempts to reach a lost member."""

TRY_LATER_S: Final = 15.0
"""The same once it has been lost for long."""

HANDED_S: Final = 3.0
"""How long a focus that leaves goes on mixing for those who are not with the next one yet."""

FORGET_S: Final = 600.0
"""A lost member is called back for so long: two halves of a split network become one again."""

TALKING_EVERY_S: Final = 1.0
"""How often the others are told who talks, at most: it is no news worth a thin link."""


class Focus:
    """The work of a focus, on one room at a time."""

    def __init__(self, hall: Hall) -> None:
        self._hall = hall
        self._book = hall.book

    # Calling

    def seat(self, room: Room, station: StationId, now: float) -> None:
        """Have somebody join."""
        seat = Seat(station, room.next_number, MemberState.CALLING)
        room.seats[station] = seat
        self.call(room, seat, now)

    def call(self, room: Room, seat: Seat, now: float) -> ActiveCall:
        """Call a station into the conference, by the call that has nobody if there is one."""
        session = self._book.sessions.get(seat.station)
        known = seat.boot is None or session is None or session.boot == seat.boot
        seat.again = seat.state is MemberState.LOST and known
        parked = self._hall.main
        if parked is not None and parked.leg is None and parked.invite_at == inf:
            self.turn(parked, seat.station, now)
            active = parked
        else:
            active = self._book.begin(
                Address(seat.station),
                line=CONSOLE,
                outgoing=True,
                state=CallState.DIALLING,
                now=now,
            )
            active.media.adjust(muted=self._muted(room))
            if session is None:
                active.away_since = now
                self._book.emit(NeedSession(seat.station))
        seat.call, seat.try_at = active.call.id, inf
        if room.main is None:
            room.main = active.call.id
        return active

    def _muted(self, room: Room) -> bool:
        main = self._hall.main
        return main is not None and main.call.muted

    def park(self, active: ActiveCall, now: float) -> None:
        """Keep a call without anybody at its other end."""
        if active.leg is not None:
            self._book.agent.close(active.leg, now)
        active.leg, active.offer, active.answer_wanted = None, None, False
        active.refresh_due, active.refresh_at, active.invite_at = False, inf, inf
        active.returns_until, active.restored, active.away_since = None, False, None
        if active.media_gone_since is not None:  # it is asked anew once there is somebody
            active.media_gone_since, active.reopen_at = None, inf
            self._book.change(active, problems=(), detail="")

    def turn(self, active: ActiveCall, to: StationId, now: float) -> None:
        """Make a running call one with another station: its files and its place stay."""
        self.park(active, now)
        session = self._book.sessions.get(to)
        active.we_invited, active.invite_at, active.heard_at = False, -inf, now
        active.peer_boot = session.boot if session is not None else None
        active.away_since = None if session is not None else now
        active.began_with = active.began_with or active.call.peer
        self._book.change(active, peer=Address(to))

    def pursue(self, room: Room, now: float) -> None:
        """Call lost members back, as soon as there is a way to them."""
        for seat in room.ordered():
            if seat.state is not MemberState.LOST:
                continue
            if now >= seat.forget_at:
                del room.seats[seat.station]
            elif now >= seat.try_at and seat.call is None:
                if seat.station in self._book.sessions:
                    self.call(room, seat, now)
                    continue
                self._book.emit(NeedSession(seat.station))
                late = now > seat.forget_at - FORGET_S + TRY_LATER_S
                seat.try_at = now + (TRY_LATER_S if late else TRY_S)

    def lose(self, seat: Seat, now: float) -> None:
        """Note that a member can't be reached, and look for it from now on."""
        if seat.state is not MemberState.LOST:
            seat.forget_at = now + FORGET_S
        seat.state, seat.call, seat.talking, seat.told = MemberState.LOST, None, False, None
        seat.try_at = now + TRY_S

    # Telling

    def tell(self, room: Room, now: float) -> None:
        """Send everybody the roster who does not have it as it is."""
        talking = frozenset(s.station for s in room.seats.values() if s.talking)
        if talking != room.told_talking and now >= room.talking_from:
            room.told_talking, room.talking_from = talking, now + TALKING_EVERY_S
        members = tuple(
            member_of(seat, talking=seat.station in room.told_talking) for seat in room.ordered()
        )
        body = written(Roster(room.id, members))
        for seat in room.seats.values():
            active = self._hall.call_of(seat.call)
            if active is not None and active.call.state in ANSWERED:
                self._tell_one(seat, active, body, now)

    def _tell_one(self, seat: Seat, active: ActiveCall, body: bytes, now: float) -> None:
        session = self._book.sessions.get(seat.station)
        news = (body, session)
        if session is None or active.leg is None or seat.told == news:
            return
        if self._book.agent.can_inform(active.leg):
            self._book.agent.inform(active.leg, body, now)
            seat.told = news

    def wish(self, room: Room, now: float) -> None:
        """Ask our focus to call whom our operator wants, or whom we mixed before."""
        main = self._hall.main
        if not room.wishes or main is None or main.leg is None:
            return
        if not all(self._heard(call) for call in room.handed):
            return  # Whoever we mixed goes over only to whom he has been told.
        if main.call.state in ANSWERED and self._book.agent.can_inform(main.leg):
            self._book.agent.inform(main.leg, written(Add(room.id, tuple(room.wishes))), now)
            room.wishes.clear()

    def _heard(self, call: str) -> bool:
        active, room = self._book.active.get(call), self._hall.room
        if active is None or active.leg is None or room is None:
            return True
        return room.handed[call] and self._book.agent.can_inform(active.leg)

    # Mixing

    def mix(self, room: Room) -> None:
        """Have the voice process mix what is to be mixed, if that has changed."""
        calls = [seat.call for seat in room.ordered() if seat.call is not None]
        if room.role is Role.MEMBER and room.handed and room.main is not None:
            calls.append(room.main)
        calls += [call for call in room.handed if call not in calls]
        streams = tuple(
            call
            for call in calls
            if (active := self._book.active.get(call)) is not None
            and (active.media.is_open() or active.media.is_opening)
        )
        if room.role in {Role.MEMBER, Role.SEARCHING} and not room.handed:
            streams = ()
        wanted = (streams, room.role is not Role.LEAVING)
        if wanted != (room.mixed or ((), True)):
            room.mixed = wanted
            self._book.emit_media(Mix(room.id, streams, ours=wanted[1]))

    def hand_over(self, room: Room, to: StationId, moved_to: str | None, now: float) -> None:
        """Tell everybody that `to` calls them now; our calls with them go on until it has."""
        members = tuple(member_of(seat, talking=False) for seat in room.ordered())
        room.farewell = written(Roster(room.id, members, successor=to, moved_to=moved_to))
        room.handed_until = now + HANDED_S
        for seat in room.seats.values():
            active = self._hall.call_of(seat.call)
            seat.call = None
            if active is not None and active.call.state in ANSWERED and active.leg is not None:
                room.handed[active.call.id] = False
        self.tell_handed(room, now)

    def tell_handed(self, room: Room, now: float) -> None:
        """Say the farewell to whom it could not be said before."""
        for call, told in room.handed.items():
            active = self._book.active.get(call)
            if told or active is None or active.leg is None:
                continue
            if self._book.agent.can_inform(active.leg):
                self._book.agent.inform(active.leg, room.farewell, now)
                room.handed[call] = True


def member_of(seat: Seat, *, talking: bool) -> Member:
    """Return a seat as the roster has it."""
    return Member(seat.station, seat.number, seat.state, talking)
