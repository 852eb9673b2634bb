"""How a line at a station is written in SIP: ``sip:console@<id>.invalid``.

The host is the station's id as text below ``.invalid`` (RFC 2606, as RFC 7118 does it for clients
without a name): nothing looks it up, and the session it came by proves it or not.
"""

from __future__ import annotations

from typing import Final

from sipmessage import URI

from appliance.model.identity import Address, IdentityError, StationId

_SUFFIX: Final = ".invalid"


def station_host(station: StationId) -> str:
    """Return the host part for a station."""
    return station.text + _SUFFIX


def uri_of(address: Address) -> URI:
    """Return the URI of a line."""
    return URI(scheme="sip", host=station_host(address.station), user=address.line)


def address_of(uri: URI) -> Address | None:
    """Return the line that a URI means; None: it means no line at a station."""
    host = uri.host.lower()
    if not host.endswith(_SUFFIX) or uri.user is None:
        return None
    try:
        return Address(StationId.parse(host[: -len(_SUFFIX)]), uri.user)
    except IdentityError:
        return None
