"""Questions that several regions ask of the state."""

from __future__ import annotations

from appliance.api.groups import Group
from appliance.api.schema import (
    EVERYONE,
    CallInfo,
    Message,
    Precedence,
    Station,
    Verification,
    WallTime,
)
from appliance.tui.store import TuiState
from appliance.tui.talks import Talk
from appliance.tui.tallies import most_urgent
from appliance.tui.text import fit, plain_name
from appliance.tui.wording import IN_REACH, name

_RUNNING = ("talking", "connecting", "ringing-there", "dialling")


def clock(state: TuiState, now_s: float) -> WallTime | None:
    """Return our wall clock, run on since the daemon told it."""
    if state.status is None:
        return None
    told = state.status.clock
    return WallTime(told.ms + int((now_s - state.status_at_s) * 1000), told.sure)


def away_s(state: TuiState, station: Station, now_s: float) -> float | None:
    """Return how long a station has been away, as far as anybody knows."""
    if station.since_s is not None:
        return station.since_s + now_s - state.told_at_s.get(station.id, now_s)
    here = clock(state, now_s)
    if station.last_seen is None or here is None or station.last_seen.ms > here.ms:
        return None
    return (here.ms - station.last_seen.ms) / 1000


def reach(state: TuiState) -> int:
    """Return how many stations can be reached now; counted here, so that it fits the list."""
    return sum(1 for one in state.stations.values() if one.reach in IN_REACH)


def farthest(state: TuiState) -> int:
    """Return how many links away the farthest station is that can be reached."""
    hops = [one.hops or 1 for one in state.stations.values() if one.reach in IN_REACH]
    return max(hops, default=0)


def chosen(state: TuiState) -> Station | None:
    """Return the station whose conversation is shown; None: everyone."""
    return state.stations.get(state.selected)


def talk(state: TuiState) -> Talk | None:
    """Return the conversation that is shown; None while it is being loaded."""
    return state.talks.get(state.selected)


def unread(state: TuiState, conversation: str) -> int:
    """Return how many messages of a conversation nobody has looked at."""
    if conversation != EVERYONE:
        found = state.stations.get(conversation) or state.groups.get(conversation)
        return found.unread if found else 0
    if state.status is None:
        return 0
    others = sum(one.unread for one in state.stations.values())
    others += sum(one.unread for one in state.groups.values())
    return max(state.status.unread - others, 0)


def urgency(state: TuiState, conversation: str) -> Precedence:
    """Return the precedence of a conversation's most urgent unread message."""
    if not unread(state, conversation):
        return "routine"
    return most_urgent(state.tallies.get(conversation))


def undelivered(state: TuiState, conversation: str) -> int:
    """Return how many messages of ours in a conversation have not arrived."""
    tally = state.tallies.get(conversation)
    return len(tally.waiting) + len(tally.given_up) if tally else 0


def all_undelivered(state: TuiState) -> int:
    """Return how many messages of ours have not arrived anywhere."""
    return sum(undelivered(state, conversation) for conversation in state.tallies)


def given_up(state: TuiState) -> frozenset[str]:
    """Return the messages here that were given up, and of which nobody has seen that."""
    tally = state.tallies.get(state.selected)
    return tally.given_up if tally else frozenset()


def first_unread(messages: tuple[Message, ...]) -> int | None:
    """Return the place of the first message that nobody has looked at."""
    return next((place for place, one in enumerate(messages) if one.unread), None)


def station_name(state: TuiState, station: str, fallback: str = "", width: int = 40) -> str:
    """Return a station's name with its tag, also of one that is not in the list."""
    known = state.stations.get(station)
    if known is not None:
        return name(known, width)
    if state.status is not None and station == state.status.id:
        return "you"
    tail = f"?·{station[:4]}"
    return fit(plain_name(fallback), max(width - len(tail), 1)) + tail if fallback else tail


def chosen_group(state: TuiState) -> Group | None:
    """Return the group whose conversation is shown."""
    return state.groups.get(state.selected)


def group_name(state: TuiState, group: Group, width: int = 40) -> str:
    """Return a group's name, with its tag where another has the same name."""
    plain = plain_name(group.name)
    same = sum(plain_name(one.name).casefold() == plain.casefold() for one in state.groups.values())
    tail = f"·{group.tag} (group)" if same > 1 else " (group)"
    return fit(plain, max(width - len(tail), 1)) + tail


def group_words(group: Group) -> str:
    """Return what we are in a group, in at most eight columns."""
    if group.state == "member":
        return f"{len(group.members)} in"
    return "INVITED" if group.state == "invited" else group.state


def title_of(state: TuiState, conversation: str, width: int = 40) -> str:
    """Return what a conversation is called."""
    if conversation == EVERYONE:
        return "Everyone"
    group = state.groups.get(conversation)
    if group is not None:
        return group_name(state, group, width)
    return station_name(state, conversation, width=width)


def ringing(state: TuiState) -> CallInfo | None:
    """Return the call that rings here."""
    return next((one for one in state.calls.values() if one.state == "ringing-here"), None)


def missed_with(state: TuiState, conversation: str) -> list[str]:
    """Return the calls of a conversation that were missed, and nobody has looked at."""
    return [
        one
        for one in state.missed_calls
        if one in state.calls and state.calls[one].station == conversation
    ]


def running(state: TuiState) -> CallInfo | None:
    """Return the call that we are in, or that we are placing."""
    found = [one for one in state.calls.values() if one.state in _RUNNING]
    return min(found, key=lambda one: _RUNNING.index(one.state), default=None)


def open_alarms(state: TuiState) -> list[str]:
    """Return the alarms that the operator has not acknowledged, oldest first."""
    return [text for text, read in state.alarms.items() if not read]


def comparing(state: TuiState, station: str) -> Verification | None:
    """Return the comparison that runs with a station."""
    return next(
        (
            one
            for one in state.verifications
            if one.station == station and one.state in {"waiting", "compare"}
        ),
        None,
    )


def asking(state: TuiState) -> Verification | None:
    """Return a comparison that another station began and that waits for us."""
    return next(
        (
            one
            for one in state.verifications
            if not one.ours and one.state in {"waiting", "compare"}
        ),
        None,
    )
