"""What the screen knows: one frozen value, and what turns it into the next one.

`reduce` is pure; `sync.py` feeds it what the daemon tells and the widgets draw what stands here.
What stays out: layout, scrolling, the text in the message line.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from appliance.api.schema import (
    EVERYONE,
    CallInfo,
    Link,
    Message,
    MessagePage,
    Problem,
    Station,
    Status,
    Verification,
)
from appliance.tui.text import plain_name
from appliance.tui.wording import furthest, missed

Connection: TypeAlias = Literal["starting", "up", "lost"]

MAX_TALKS = 12
"""Conversations whose messages are kept; the one longest out of sight goes first."""

MAX_MESSAGES = 5_000
"""Of one conversation; whoever pages further back loses the newest, which come back by themselves
when the conversation is opened again."""

MAX_CALLS = 200
"""Running and over."""

MAX_VERIFICATIONS = 50
"""Running and over."""

MAX_ALARMS = 20
"""Not yet acknowledged; more of them say nothing new."""


@dataclass(frozen=True)
class Talk:
    """The part of a conversation that is here."""

    messages: tuple[Message, ...] = ()
    """By order, then id."""

    more: bool = False
    """There are older ones."""


@dataclass(frozen=True)
class TuiState:
    """Everything that the screen shows."""

    connection: Connection = "starting"
    """To the daemon."""

    trouble: str = ""
    """Why there is no connection."""

    status: Status | None = None
    """Our own station."""

    status_at_s: float = 0.0
    """When the status was told, so that its clock can run on."""

    stations: Mapping[str, Station] = field(default_factory=dict)
    """By id."""

    told_at_s: Mapping[str, float] = field(default_factory=dict)
    """When each station was told, so that its times can run on."""

    listed: tuple[str, ...] = (EVERYONE,)
    """Conversations as they stand in the list."""

    selected: str = EVERYONE
    """The conversation that is shown."""

    talks: Mapping[str, Talk] = field(default_factory=dict)
    """By conversation, latest shown last."""

    calls: Mapping[str, CallInfo] = field(default_factory=dict)
    """By id."""

    call_at_s: Mapping[str, float] = field(default_factory=dict)
    """When each call was told, so that its timer can run on."""

    missed_calls: frozenset[str] = frozenset()
    """Ids of missed calls whose conversation has not been opened since."""

    verifications: tuple[Verification, ...] = ()
    """Latest first."""

    links: tuple[Link, ...] = ()
    """Network interfaces."""

    alarms: Mapping[str, bool] = field(default_factory=dict)
    """Sentences, and whether the operator has acknowledged them."""


@dataclass(frozen=True)
class Loaded:
    """Everything was asked for anew."""

    status: Status
    stations: tuple[Station, ...]
    calls: tuple[CallInfo, ...]
    verifications: tuple[Verification, ...]
    links: tuple[Link, ...]
    now_s: float


@dataclass(frozen=True)
class Lost:
    """The daemon does not answer."""

    trouble: str


@dataclass(frozen=True)
class StatusCame:
    """Our station's status."""

    status: Status
    now_s: float


@dataclass(frozen=True)
class StationCame:
    """One station, new or changed."""

    station: Station
    now_s: float


@dataclass(frozen=True)
class PageCame:
    """Part of a conversation; `fresh`: its newest part, instead of what was here."""

    conversation: str
    page: MessagePage
    fresh: bool


@dataclass(frozen=True)
class MessageCame:
    """A message, new or in a new state."""

    message: Message


@dataclass(frozen=True)
class MarkedRead:
    """The daemon noted that a conversation was seen up to an order."""

    conversation: str
    up_to: int


@dataclass(frozen=True)
class CallCame:
    """A call, new or changed."""

    call: CallInfo
    now_s: float


@dataclass(frozen=True)
class VerificationCame:
    """A comparison, new or changed."""

    verification: Verification


@dataclass(frozen=True)
class LinksCame:
    """All network interfaces."""

    links: tuple[Link, ...]


@dataclass(frozen=True)
class AlarmCame:
    """Something that must not be missed."""

    problem: Problem


@dataclass(frozen=True)
class AlarmsRead:
    """The operator acknowledged all alarms that are shown."""


@dataclass(frozen=True)
class Selected:
    """The operator chose a conversation."""

    conversation: str


Action: TypeAlias = (
    Loaded
    | Lost
    | StatusCame
    | StationCame
    | PageCame
    | MessageCame
    | MarkedRead
    | CallCame
    | VerificationCame
    | LinksCame
    | AlarmCame
    | AlarmsRead
    | Selected
)


def reduce(state: TuiState, action: Action) -> TuiState:
    """Return the state after `action`."""
    match action:
        case Loaded():
            return _loaded(state, action)
        case Lost():
            return replace(state, connection="lost", trouble=action.trouble)
        case StatusCame():
            return replace(state, status=action.status, status_at_s=action.now_s)
        case StationCame():
            return _station(state, action)
        case PageCame():
            return _page(state, action)
        case MessageCame():
            return _message(state, action.message)
        case MarkedRead():
            return _read(state, action)
        case CallCame():
            return _call(state, action)
        case VerificationCame():
            return _verification(state, action.verification)
        case LinksCame():
            return replace(state, links=action.links)
        case AlarmCame():
            return _alarm(state, f"{action.problem.text} {action.problem.fix}".strip())
        case AlarmsRead():
            return replace(state, alarms=dict.fromkeys(state.alarms, True))
        case Selected():
            return _selected(state, action.conversation)


def _rank(station: Station) -> tuple[bool, str, str]:
    # By name within reach and out of reach: a list that reorders itself makes people press wrong.
    return station.reach == "away", plain_name(station.name).casefold(), station.id


def _list(stations: Mapping[str, Station]) -> tuple[str, ...]:
    return (EVERYONE, *(one.id for one in sorted(stations.values(), key=_rank)))


def _moved(listed: tuple[str, ...], stations: Mapping[str, Station], new: str) -> tuple[str, ...]:
    others = [one for one in listed if one != new]  # they stand in their order already
    insort(others, new, lo=1, key=lambda one: _rank(stations[one]))
    return tuple(others)


def _loaded(state: TuiState, action: Loaded) -> TuiState:
    stations = {one.id: one for one in action.stations}
    selected = state.selected if state.selected in stations else EVERYONE
    fresh = replace(
        state,
        connection="up",
        trouble="",
        status=action.status,
        status_at_s=action.now_s,
        stations=stations,
        told_at_s=dict.fromkeys(stations, action.now_s),
        listed=_list(stations),
        selected=selected,
        # Stays in sight until its newest part has come.
        talks={key: talk for key, talk in state.talks.items() if key == selected},
        calls={one.id: one for one in action.calls[:MAX_CALLS]},
        call_at_s={one.id: action.now_s for one in action.calls[:MAX_CALLS]},
        verifications=action.verifications[:MAX_VERIFICATIONS],
        links=action.links,
    )
    for station in action.stations:
        if station.alarm:
            fresh = _alarm(fresh, station.alarm)
    return fresh


def _station(state: TuiState, action: StationCame) -> TuiState:
    station = action.station
    before = state.stations.get(station.id)
    stations = {**state.stations, station.id: station}
    same_place = before is not None and _rank(before) == _rank(station)
    state = replace(
        state,
        stations=stations,
        told_at_s={**state.told_at_s, station.id: action.now_s},
        listed=state.listed if same_place else _moved(state.listed, stations, station.id),
    )
    return _alarm(state, station.alarm) if station.alarm else state


def _alarm(state: TuiState, text: str) -> TuiState:
    if text in state.alarms or sum(not read for read in state.alarms.values()) >= MAX_ALARMS:
        return state
    read = [key for key, done in state.alarms.items() if done]
    kept = {key: done for key, done in state.alarms.items() if key not in read[:-MAX_ALARMS]}
    return replace(state, alarms={**kept, text: False})


def _key(message: Message) -> tuple[int, str]:
    return message.order, message.id


def _merge(here: Iterable[Message], new: Iterable[Message]) -> tuple[Message, ...]:
    by_id = {one.id: one for one in here}
    for one in new:
        known = by_id.get(one.id)
        # A page that was asked for before an event came may be older than the event.
        by_id[one.id] = one if known is None else furthest(one, known)
    return tuple(sorted(by_id.values(), key=_key))


def _put_talk(state: TuiState, conversation: str, talk: Talk) -> TuiState:
    talks = {key: one for key, one in state.talks.items() if key != conversation}
    talks[conversation] = talk
    while len(talks) > MAX_TALKS:
        del talks[next(key for key in talks if key != state.selected)]
    return replace(state, talks=talks)


def _page(state: TuiState, action: PageCame) -> TuiState:
    here = Talk() if action.fresh else state.talks.get(action.conversation, Talk())
    messages = _merge(here.messages, action.page.messages)[:MAX_MESSAGES]
    return _put_talk(state, action.conversation, Talk(messages, action.page.more))


def _message(state: TuiState, message: Message) -> TuiState:
    talk = state.talks.get(message.conversation)
    if talk is None:
        return state
    messages = _merge(talk.messages, (message,))
    return _put_talk(state, message.conversation, replace(talk, messages=messages[-MAX_MESSAGES:]))


def _read(state: TuiState, action: MarkedRead) -> TuiState:
    talk = state.talks.get(action.conversation)
    if talk is None:
        return state
    messages = tuple(
        replace(one, unread=False) if one.unread and one.order <= action.up_to else one
        for one in talk.messages
    )
    return _put_talk(state, action.conversation, replace(talk, messages=messages))


def _call(state: TuiState, action: CallCame) -> TuiState:
    call = action.call
    calls = {key: one for key, one in state.calls.items() if key != call.id}
    calls[call.id] = call
    over = [key for key, one in calls.items() if one.state == "ended"]
    for key in over[: max(len(calls) - MAX_CALLS, 0)]:
        del calls[key]
    told = {key: at for key, at in state.call_at_s.items() if key in calls}
    new_miss = missed(call) and call.station != state.selected and call.id in state.calls
    return replace(
        state,
        calls=calls,
        call_at_s={**told, call.id: action.now_s},
        missed_calls=state.missed_calls | {call.id} if new_miss else state.missed_calls,
    )


def _verification(state: TuiState, verification: Verification) -> TuiState:
    known = {one.id: one for one in state.verifications}
    if verification.id in known:
        kept = tuple(
            verification if one.id == verification.id else one for one in state.verifications
        )
    else:
        kept = (verification, *state.verifications)
    return replace(state, verifications=kept[:MAX_VERIFICATIONS])


def _selected(state: TuiState, conversation: str) -> TuiState:
    if conversation != EVERYONE and conversation not in state.stations:
        return state
    looked_at = {key for key, one in state.calls.items() if one.station == conversation}
    return replace(state, selected=conversation, missed_calls=state.missed_calls - looked_at)
