"""Calls that go on though a station was restarted in the middle of them.

The dialog of an answered call outlives the program: whoever was restarted takes it up again and
renews keys and addresses by re-INVITE, as after any lost session.  Whoever was not waits a moment
for that and then asks itself; a station that has forgotten the call answers 481, which ends it.
So nobody is ever called who had not answered, and whoever hung up meanwhile stays so.
"""

from __future__ import annotations

from typing import Final

from appliance.model.call import Call, CallState
from appliance.model.identity import Address, IdentityError, StationId
from appliance.model.kept_call import KeptCall
from appliance.node.active_call import AWAY_S, SECOND_REFRESH_S, ActiveCall
from appliance.node.call_book import CallBook, hop_of
from appliance.node.call_effects import CallChanged, KeepCalls, NeedSession
from appliance.node.call_states import ANSWERED
from appliance.protocol.sip.kept_dialog import taken_up, written
from appliance.protocol.sip.station_uri import uri_of

FIRST_REFRESH_S: Final = 1.0
"""Whoever was restarted renews a call at once; the other side waits this long for it."""


class CallReturn:
    """Notes the answered calls, and takes them up after a restart."""

    def __init__(self, book: CallBook) -> None:
        self._book = book
        self._noted: tuple[KeptCall, ...] = ()

    def restore(self, kept: tuple[KeptCall, ...], *, lost_at: float, now: float) -> None:
        """Go on with calls that were answered when the station stopped at `lost_at`.

        One that is broken, or whose line is taken, is left out; the other station hears that when
        it asks for it.
        """
        for one in kept:
            active = self._revive(one)
            if active is None:
                continue
            active.returns_until = lost_at + AWAY_S
            active.away_since = active.heard_at = lost_at
            active.restored = True
            self._book.active[one.id] = active
            self._book.emit(CallChanged(active.call))
            session = self._book.sessions.get(active.call.peer.station)
            if session is None:
                self._book.emit(NeedSession(active.call.peer.station))
            else:
                restarted = active.peer_boot != session.boot
                active.peer_boot = session.boot
                self.session_up(active, restarted=restarted, now=now)
        self._noted = kept

    def session_up(self, active: ActiveCall, *, restarted: bool, now: float) -> None:
        """Say when an answered call is renewed in a new session.

        `restarted`: the other station may know nothing of the call.
        """
        if restarted and active.returns_until is None:
            since = active.away_since if active.away_since is not None else now
            active.returns_until = max(since, active.heard_at) + AWAY_S
        active.away_since = None
        if active.restored:
            # Where both were restarted the one that called goes first.
            wait_s = FIRST_REFRESH_S if restarted and not active.we_invited else 0.0
        elif restarted:
            wait_s = FIRST_REFRESH_S
        else:
            wait_s = 0.0 if active.we_invited else SECOND_REFRESH_S
        active.refresh_at = now + wait_s

    def note(self) -> None:
        """Have what is needed to go on written down, if it has changed."""
        noted = tuple(
            kept
            for active in self._book.active.values()
            if (kept := self._kept(active)) is not None
        )
        if noted != self._noted:
            self._noted = noted
            self._book.emit(KeepCalls(noted))

    def _kept(self, active: ActiveCall) -> KeptCall | None:
        call = active.call
        if call.state not in ANSWERED or call.answered_at is None or active.leg is None:
            return None
        if call.conference is not None and call.conference.focus == self._book.station:
            return None  # Another one mixes before we are back.
        dialog = self._book.agent.dialog_of(active.leg)
        if dialog is None:
            return None
        return KeptCall(
            id=call.id,
            station=call.peer.station.text,
            their_line=call.peer.line,
            our_line=call.line,
            outgoing=call.outgoing,
            created_at=call.created_at,
            answered_at=call.answered_at,
            peer_boot=(active.peer_boot or b"").hex(),
            we_invited=active.we_invited,
            dialog=written(dialog),
            sound=active.media.kept(),
        )

    def _revive(self, kept: KeptCall) -> ActiveCall | None:
        book = self._book
        try:
            peer = Address(StationId.parse(kept.station), kept.their_line)
            dialog = taken_up(kept.dialog)
            boot = bytes.fromhex(kept.peer_boot)
        except (IdentityError, ValueError):
            return None
        if kept.our_line not in book.lines or book.on_line(kept.our_line) is not None:
            return None
        media = book.new_media(kept.id, peer.station)
        media.go_on(kept.sound)
        call = Call(
            kept.id,
            peer,
            kept.outgoing,
            CallState.TALKING,
            created_at=kept.created_at,
            answered_at=kept.answered_at,
            line=kept.our_line,
            muted=kept.sound.muted,
            push_to_talk=kept.sound.push_to_talk,
            away=True,
        )
        leg = book.agent.restore(
            hop_of(peer.station),
            dialog,
            contact=uri_of(Address(book.station, kept.our_line)),
            outgoing=kept.we_invited,
        )
        return ActiveCall(call, media, leg=leg, we_invited=kept.we_invited, peer_boot=boot or None)


def came_back(active: ActiveCall) -> None:
    """Note that both sides have agreed on the sound anew."""
    active.restored, active.returns_until = False, None
