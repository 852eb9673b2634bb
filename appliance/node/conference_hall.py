"""The conference that our console is in, and the calls that are part of it."""

from __future__ import annotations

from appliance.model.conference_media import Mix
from appliance.node.active_call import ActiveCall
from appliance.node.call_book import CallBook
from appliance.node.call_states import ANSWERED
from appliance.node.conference_room import Room, Seat, connected


class Hall:
    """What the parts of the conference logic share."""

    def __init__(self, book: CallBook) -> None:
        self.book = book
        self.room: Room | None = None

    def calls(self) -> list[ActiveCall]:
        """Return the calls of the conference."""
        room, active = self.room, self.book.active
        if room is None:
            return []
        names = [room.main, *(seat.call for seat in room.seats.values()), *room.handed]
        known = dict.fromkeys(name for name in names if name is not None)
        return [active[name] for name in known if name in active]

    @property
    def main(self) -> ActiveCall | None:
        """Return our call with the focus, or the one that keeps our place."""
        return self.call_of(self.room.main if self.room is not None else None)

    def call_of(self, name: str | None) -> ActiveCall | None:
        """Return a call by its name."""
        return self.book.active.get(name) if name is not None else None

    def answered(self) -> list[ActiveCall]:
        """Return the calls that somebody has answered and not hung up."""
        calls = self.calls()
        return [one for one in calls if one.call.state in ANSWERED and one.leg is not None]

    def is_connected(self, seat: Seat, now: float) -> bool:
        """Tell whether there is sound between us and a member."""
        active = self.call_of(seat.call)
        return active is not None and connected(active, now)

    def forget(self) -> None:
        """Be in no conference any more; calls that are left are calls like others."""
        room = self.room
        if room is None:
            return
        if room.mixed is not None and room.mixed[0]:
            self.book.emit_media(Mix(room.id, ()))
        for active in self.calls():
            self.book.change(active, conference=None)
        self.room = None
