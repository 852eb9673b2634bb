"""What the stations of a conference tell each other in INFO requests (RFC 6086).

The facts are those of RFC 4575: a `Roster` is what its NOTIFY brings, an `Add` what REFER asks of
the focus in RFC 4579 section 5.5.  They come in the dialog of a call, so their order is that of the
dialog and their author the peer whose key the session has proved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from sipmessage import URI

from appliance.model.codec import Fields, FormatError, decode, encode
from appliance.model.conference import MAX_MEMBERS, Member, MemberState
from appliance.model.identity import IdentityError, StationId
from appliance.protocol.sip.station_uri import station_host

MAX_BYTES: Final = 2_048
"""A roster of 16 has about 700."""

ID_BYTES: Final = 16
KEY_BYTES: Final = 32
MAX_NUMBER: Final = 1 << 16
"""A conference in which so many have come and gone takes nobody else."""

_ROSTER, _ADD = 1, 2
_STATES: Final = (MemberState.IN, MemberState.CALLING, MemberState.LOST)
_PREFIX: Final = "conf-"


@dataclass(frozen=True)
class Roster:
    """Focus to members: how the conference is from now on."""

    conference: str
    """Its id."""

    members: tuple[Member, ...]
    """Everybody, by number."""

    successor: StationId | None = None
    """The focus is leaving: this member calls everybody now, and mixes."""

    moved_to: str | None = None
    """The conference goes on as a part of this one, which is the successor's."""


@dataclass(frozen=True)
class Add:
    """Member to focus: call these stations into the conference."""

    conference: str
    """Its id."""

    stations: tuple[StationId, ...]
    """Whom."""


class Contact(NamedTuple):
    """A Contact header of ours."""

    uri: URI
    """Where we are reached."""

    parameters: tuple[str, ...] = ()
    """What is said of it: ``isfocus``, and our own ``again``."""


Told: TypeAlias = Roster | Add


def written(told: Told) -> bytes:
    """Return it as bytes."""
    if isinstance(told, Add):
        stations = [station.key for station in told.stations]
        return encode({1: _ADD, 2: bytes.fromhex(told.conference), 3: stations})
    members = [
        [one.number, one.station.key, _STATES.index(one.state), one.talking] for one in told.members
    ]
    fields: dict[int, object] = {1: _ROSTER, 2: bytes.fromhex(told.conference), 3: members}
    if told.successor is not None:
        fields[4] = told.successor.key
    if told.moved_to is not None:
        fields[5] = bytes.fromhex(told.moved_to)
    return encode(fields)


def read(data: bytes) -> Told:
    """Return what a member has sent; raises FormatError and nothing else."""
    fields = Fields(decode(data, limit=MAX_BYTES), "conference")
    kind = fields.uint(1, below=3)
    conference = fields.data(2, size=ID_BYTES).hex()
    items = fields.items(3, limit=MAX_MEMBERS)
    told: Told
    if kind == _ADD:
        told = Add(conference, tuple(_station(item) for item in items))
    elif kind == _ROSTER:
        members = tuple(_member(item) for item in items)
        if len({one.station for one in members}) < len(members):
            raise FormatError("conference: a station is there twice")
        numbers = [one.number for one in members]
        if sorted(set(numbers)) != numbers:
            raise FormatError("conference: the members are not in order")
        successor = _station(fields.data(4, size=KEY_BYTES)) if fields.has(4) else None
        moved_to = fields.data(5, size=ID_BYTES).hex() if fields.has(5) else None
        told = Roster(conference, members, successor, moved_to)
    else:
        raise FormatError("conference: neither a roster nor a wish")
    fields.end()
    return told


def _station(value: object) -> StationId:
    if type(value) is not bytes:
        raise FormatError("conference: a station is no key")
    try:
        return StationId(value)
    except IdentityError as error:
        raise FormatError(f"conference: {error}") from None


def _member(value: object) -> Member:
    if type(value) is not list or len(value) != 4:
        raise FormatError("conference: a member is not four things")
    number, key, state, talking = value
    if type(number) is not int or not 0 < number < MAX_NUMBER:
        raise FormatError("conference: a member's number is out of range")
    if type(state) is not int or not 0 <= state < len(_STATES) or type(talking) is not bool:
        raise FormatError("conference: a member is in no state")
    return Member(_station(key), number, _STATES[state], talking)


def uri_of_conference(conference: str, focus: StationId) -> URI:
    """Return the conference URI (RFC 4579 section 3.1), which is the focus's Contact."""
    return URI(scheme="sip", host=station_host(focus), user=_PREFIX + conference)


def conference_of(uri: URI | None) -> str | None:
    """Return the id of the conference that a URI means; None: it means none."""
    if uri is None or uri.user is None or not uri.user.startswith(_PREFIX):
        return None
    text = uri.user[len(_PREFIX) :]
    if len(text) != 2 * ID_BYTES or set(text) - set("0123456789abcdef"):
        return None
    return text
