"""What the screen knows: one frozen value, and what turns it into the next one.

`reduce` is pure; `sync.py` feeds it what the daemon tells and the widgets draw what stands here.
What stays out: layout, scrolling, the text in the message line.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, TypeVar

from appliance.api.groups import Group
from appliance.api.schema import (
    EVERYONE,
    CallInfo,
    Link,
    Message,
    Playback,
    Recording,
    Station,
    Status,
    Verification,
)
from appliance.api.storage import Removed
from appliance.tui import channels, emergencies, talks, tallies
from appliance.tui.actions import (
    Action,
    AlarmCame,
    AlarmsRead,
    CallCame,
    CallsSeen,
    ChannelCame,
    Counted,
    EmergencyShown,
    GivenUpSeen,
    GroupCame,
    LinksCame,
    Loaded,
    Lost,
    MarkedRead,
    MessageCame,
    NewerCame,
    PageCame,
    PlaybackCame,
    RecordingCame,
    RemovedCame,
    Selected,
    StationCame,
    StatusCame,
    VerificationCame,
    WindowCame,
)
from appliance.tui.channels import Channels
from appliance.tui.emergencies import Emergencies
from appliance.tui.talks import Talk
from appliance.tui.tallies import Tallies
from appliance.tui.text import plain_name
from appliance.tui.wording import missed

Sound = TypeVar("Sound", Recording, Playback)

Connection: TypeAlias = Literal["starting", "up", "lost"]

MAX_TALKS = 6
"""Conversations whose messages are kept; the one longest out of sight goes first."""

MAX_CALLS = 200
"""Running and over."""

MAX_VERIFICATIONS = 50
"""Running and over."""

MAX_SOUNDS = 8
"""Recordings, and voice messages that were played."""

MAX_ALARMS = 20
"""Not yet acknowledged; more of them say nothing new."""


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

    groups: Mapping[str, Group] = field(default_factory=dict)
    """By id."""

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
    """Ids of missed calls that nobody has looked at."""

    channels: Channels = field(default_factory=dict)
    """Talk groups."""

    verifications: tuple[Verification, ...] = ()
    """Latest first."""

    links: tuple[Link, ...] = ()
    """Network interfaces."""

    alarms: Mapping[str, bool] = field(default_factory=dict)
    """Sentences, and whether the operator has acknowledged them."""

    tallies: Tallies = field(default_factory=dict)
    """What waits, by conversation."""

    removed: Mapping[str, Removed] = field(default_factory=dict)
    """What had to make room, by conversation."""

    recordings: Mapping[str, Recording] = field(default_factory=dict)
    """The latest, by id."""

    playbacks: Mapping[str, Playback] = field(default_factory=dict)
    """What is played and was played last, by id."""

    emergencies: Emergencies = field(default_factory=Emergencies)
    """Those that nobody here has looked at."""

    @property
    def emergency(self) -> Message | None:
        """The emergency to show."""
        return emergencies.shown(self.emergencies, self.stations)


def reduce(state: TuiState, action: Action) -> TuiState:
    """Return the state after `action`."""
    match action:
        case Loaded():
            return _loaded(state, action)
        case Lost():
            return replace(state, connection="lost", trouble=action.trouble)
        case StatusCame():
            return _status(state, action)
        case StationCame():
            return _station(state, action)
        case GroupCame():
            return _group(state, action.group)
        case PageCame() | NewerCame() | WindowCame():
            return _part(state, action)
        case Counted():
            return _counted(state, action.messages)
        case GivenUpSeen():
            left = tallies.looked_at(state.tallies, action.conversation, action.messages)
            return replace(state, tallies=left)
        case RemovedCame():
            return replace(state, removed={one.conversation: one for one in action.removed})
        case MessageCame():
            return _message(state, action.message)
        case MarkedRead():
            return _read(state, action)
        case CallCame():
            return _call(state, action)
        case CallsSeen():
            return _calls_seen(state, action.conversation)
        case ChannelCame():
            now = channels.told(state.channels, action.channel, action.now_s)
            return replace(state, channels=now)
        case VerificationCame():
            return _verification(state, action.verification)
        case RecordingCame():
            return replace(state, recordings=_latest(state.recordings, action.recording))
        case PlaybackCame():
            return replace(state, playbacks=_latest(state.playbacks, action.playback))
        case LinksCame():
            return replace(state, links=action.links)
        case AlarmCame():
            return _alarm(state, f"{action.problem.text} {action.problem.fix}".strip())
        case AlarmsRead():
            return replace(state, alarms=dict.fromkeys(state.alarms, True))
        case EmergencyShown():
            done = emergencies.acknowledged(state.emergencies, action.message)
            return replace(state, emergencies=done)
        case Selected():
            return _selected(state, action.conversation)


def _rank(station: Station) -> tuple[bool, str, str]:
    # By name within reach and out of reach: a list that reorders itself makes people press wrong.
    return station.reach == "away", plain_name(station.name).casefold(), station.id


def _list(stations: Mapping[str, Station], groups: Mapping[str, Group]) -> tuple[str, ...]:
    ranked = sorted(groups.values(), key=lambda one: (plain_name(one.name).casefold(), one.id))
    ours = (one.id for one in ranked if one.state in {"member", "invited"})
    gone = (one.id for one in ranked if one.state not in {"member", "invited"})
    return (EVERYONE, *ours, *(one.id for one in sorted(stations.values(), key=_rank)), *gone)


def _moved(listed: tuple[str, ...], stations: Mapping[str, Station], new: str) -> tuple[str, ...]:
    others = [one for one in listed if one != new]  # they stand in their order already
    places = [at for at, one in enumerate(others) if one in stations]
    low, high = (places[0], places[-1] + 1) if places else (len(others), len(others))
    insort(others, new, lo=low, hi=high, key=lambda one: _rank(stations[one]))
    return tuple(others)


def _loaded(state: TuiState, action: Loaded) -> TuiState:
    stations = {one.id: one for one in action.stations}
    groups = {one.id: one for one in action.groups}
    selected = state.selected if state.selected in {*stations, *groups} else EVERYONE
    fresh = replace(
        state,
        connection="up",
        trouble="",
        status=action.status,
        status_at_s=action.now_s,
        stations=stations,
        told_at_s=dict.fromkeys(stations, action.now_s),
        groups=groups,
        listed=_list(stations, groups),
        selected=selected,
        # Stays in sight until its newest part has come, which says anew what is unread.
        talks={
            key: talks.with_read(talk, talk.newest[0])
            for key, talk in state.talks.items()
            if key == selected
        },
        calls={one.id: one for one in action.calls[:MAX_CALLS]},
        missed_calls=frozenset(one.id for one in action.calls if one.missed and not one.seen),
        call_at_s={one.id: action.now_s for one in action.calls[:MAX_CALLS]},
        channels=channels.loaded(state.channels, action.channels, action.now_s),
        verifications=action.verifications[:MAX_VERIFICATIONS],
        links=action.links,
        tallies=tallies.kept(state.tallies),
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
    if not station.unread:
        state = replace(state, tallies=tallies.seen(state.tallies, station.id))
    state = replace(
        state,
        stations=stations,
        told_at_s={**state.told_at_s, station.id: action.now_s},
        listed=state.listed if same_place else _moved(state.listed, stations, station.id),
    )
    return _alarm(state, station.alarm) if station.alarm else state


def _group(state: TuiState, group: Group) -> TuiState:
    groups = {**state.groups, group.id: group}
    if not group.unread:
        state = replace(state, tallies=tallies.seen(state.tallies, group.id))
    return replace(state, groups=groups, listed=_list(state.stations, groups))


def _alarm(state: TuiState, text: str) -> TuiState:
    if text in state.alarms or sum(not read for read in state.alarms.values()) >= MAX_ALARMS:
        return state
    read = [key for key, done in state.alarms.items() if done]
    kept = {key: done for key, done in state.alarms.items() if key not in read[:-MAX_ALARMS]}
    return replace(state, alarms={**kept, text: False})


def _put_talk(state: TuiState, conversation: str, talk: Talk) -> TuiState:
    talks = {key: one for key, one in state.talks.items() if key != conversation}
    talks[conversation] = talk
    while len(talks) > MAX_TALKS:
        del talks[next(key for key in talks if key != state.selected)]
    return replace(state, talks=talks)


def _part(state: TuiState, action: PageCame | NewerCame | WindowCame) -> TuiState:
    here = state.talks.get(action.conversation, Talk())
    match action:
        case WindowCame():
            talk = talks.moved(here, action.talk)
        case NewerCame():
            talk = talks.with_newer(here, action.messages, last=action.last)
        case PageCame():
            talk = talks.with_older(here, action.page.messages, more=action.page.more)
    return _put_talk(state, action.conversation, talk)


def _counted(state: TuiState, messages: tuple[Message, ...]) -> TuiState:
    return replace(
        state,
        tallies=tallies.counted(state.tallies, messages),
        emergencies=emergencies.counted(state.emergencies, messages, state.stations),
    )


def _message(state: TuiState, message: Message) -> TuiState:
    state = _counted(state, (message,))
    talk = state.talks.get(message.conversation)
    if talk is None:
        return state
    return _put_talk(state, message.conversation, talks.with_message(talk, message))


def _read(state: TuiState, action: MarkedRead) -> TuiState:
    state = replace(
        state,
        tallies=tallies.seen(state.tallies, action.conversation, action.up_to),
        emergencies=emergencies.read(state.emergencies, action.conversation, action.up_to),
    )
    talk = state.talks.get(action.conversation)
    if talk is None:
        return state
    return _put_talk(state, action.conversation, talks.with_read(talk, action.up_to))


def _call(state: TuiState, action: CallCame) -> TuiState:
    call = action.call
    calls = {key: one for key, one in state.calls.items() if key != call.id}
    calls[call.id] = call
    over = [key for key, one in calls.items() if one.state == "ended"]
    for key in over[: max(len(calls) - MAX_CALLS, 0)]:
        del calls[key]
    told = {key: at for key, at in state.call_at_s.items() if key in calls}
    new_miss = missed(call) and not call.seen
    return replace(
        state,
        calls=calls,
        call_at_s={**told, call.id: action.now_s},
        missed_calls=state.missed_calls | {call.id} if new_miss else state.missed_calls,
    )


def _latest(known: Mapping[str, Sound], new: Sound) -> Mapping[str, Sound]:
    # The end of an earlier one may be told after the beginning of the next.
    kept = {**known, new.id: new}
    while len(kept) > MAX_SOUNDS:
        del kept[next(key for key in kept if key != new.id)]
    return kept


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
    if conversation not in {EVERYONE, *state.stations, *state.groups}:
        return state
    return replace(state, selected=conversation)


def _status(state: TuiState, action: StatusCame) -> TuiState:
    # Seen at another screen, or on the command line.
    seen = not action.status.missed_calls and state.status and state.status.missed_calls
    left = frozenset[str]() if seen else state.missed_calls
    return replace(state, status=action.status, status_at_s=action.now_s, missed_calls=left)


def _calls_seen(state: TuiState, conversation: str) -> TuiState:
    looked_at = {key for key, one in state.calls.items() if one.station == conversation}
    return replace(state, missed_calls=state.missed_calls - looked_at)
