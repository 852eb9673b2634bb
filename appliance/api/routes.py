"""The endpoints of the local API: what each takes, asks of the daemon and answers.

How requests arrive and how errors and events leave is `server`'s matter.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from appliance.api import requests as ask
from appliance.api.attachment_routes import ATTACHMENT_ROUTES
from appliance.api.attachments import MAX_ATTACHMENTS
from appliance.api.backend import Backend
from appliance.api.conference_routes import CONFERENCE_ROUTES
from appliance.api.group_routes import GROUP_ROUTES
from appliance.api.history_routes import HISTORY_ROUTES
from appliance.api.record_routes import RECORD_ROUTES
from appliance.api.recording_routes import RECORDING_ROUTES
from appliance.api.routing import Route, bad_request, body, check_sound_files
from appliance.api.schema import API_VERSION
from appliance.api.storage_routes import STORAGE_ROUTES
from appliance.api.talking_routes import TALKING_ROUTES

_MAX_INTEGER: Final = 2**63 - 1
"""What SQLite can compare."""


async def _index(_backend: Backend, _request: web.Request) -> object:
    listed = [ask.Endpoint(route.method, route.path, route.text) for route in ROUTES]
    return ask.Index(version=API_VERSION, endpoints=(*listed, EVENTS))


async def _status(backend: Backend, _request: web.Request) -> object:
    return backend.status()


async def _set_name(backend: Backend, request: web.Request) -> object:
    return await backend.set_name((await body(request, ask.SetName)).name)


async def _stations(backend: Backend, _request: web.Request) -> object:
    return backend.stations()


async def _station(backend: Backend, request: web.Request) -> object:
    return backend.station(request.match_info["station"])


async def _add_peer(backend: Backend, request: web.Request) -> object:
    peer = await body(request, ask.AddPeer)
    if peer.port is not None and not 0 < peer.port < 65_536:
        raise bad_request("A port is a number from 1 to 65535.", "Change the port.")
    if not 0 < peer.timeout_s <= ask.MAX_PEER_TIMEOUT_S:
        raise bad_request(
            f"timeout_s should be above 0 and at most {ask.MAX_PEER_TIMEOUT_S:g}.",
            "Change timeout_s.",
        )
    return await backend.add_peer(peer.host, peer.port, peer.timeout_s)


async def _send(backend: Backend, request: web.Request) -> object:
    new = await body(request, ask.NewMessage)
    if new.lifetime_s is not None and not 0 < new.lifetime_s <= _MAX_INTEGER:
        raise bad_request("lifetime_s should be above 0.", "Change lifetime_s or leave it out.")
    if len(new.attachments) > MAX_ATTACHMENTS:
        raise bad_request(f"At most {MAX_ATTACHMENTS} files go with a message.", "Send fewer.")
    return await backend.send_message(
        new.to,
        new.text,
        line=new.line,
        precedence=new.precedence,
        lifetime_s=new.lifetime_s,
        attachments=new.attachments,
    )


async def _message(backend: Backend, request: web.Request) -> object:
    return await backend.message(request.match_info["message"])


async def _mark_read(backend: Backend, request: web.Request) -> object:
    read = await body(request, ask.MarkRead)
    if not 0 <= read.up_to <= _MAX_INTEGER:
        raise bad_request("up_to should be the order of a message.", "Change up_to.")
    return ask.MarkedRead(await backend.mark_read(read.conversation, up_to=read.up_to))


async def _draft(backend: Backend, request: web.Request) -> object:
    return ask.Draft(await backend.draft(request.match_info["conversation"]))


async def _set_draft(backend: Backend, request: web.Request) -> object:
    draft = await body(request, ask.Draft)
    await backend.set_draft(request.match_info["conversation"], draft.text)
    return draft


async def _calls(backend: Backend, _request: web.Request) -> object:
    return backend.calls()


async def _place_call(backend: Backend, request: web.Request) -> object:
    new = await body(request, ask.PlaceCall)
    check_sound_files(new.play, new.record)
    return await backend.place_call(new.to, line=new.line, play=new.play, record=new.record)


async def _answer(backend: Backend, request: web.Request) -> object:
    with_files = await body(request, ask.Answer)
    check_sound_files(with_files.play, with_files.record)
    return await backend.answer(
        request.match_info["call"], play=with_files.play, record=with_files.record
    )


async def _hang_up(backend: Backend, request: web.Request) -> object:
    return await backend.hang_up(request.match_info["call"])


async def _change_call(backend: Backend, request: web.Request) -> object:
    change = await body(request, ask.ChangeCall)
    if change.volume_pct is not None and not 0 <= change.volume_pct <= 200:
        raise bad_request("volume_pct should be 0 to 200.", "Change volume_pct.")
    return await backend.set_call(request.match_info["call"], change)


async def _verify(backend: Backend, request: web.Request) -> object:
    start = await body(request, ask.StartVerification)
    station = request.match_info["station"]
    if start.id is not None:
        return await backend.verify_by_id(station, start.id)
    return await backend.start_verification(station)


async def _verifications(backend: Backend, _request: web.Request) -> object:
    return backend.verifications()


async def _finish_verification(backend: Backend, request: web.Request) -> object:
    finish = await body(request, ask.FinishVerification)
    return await backend.finish_verification(request.match_info["verification"], match=finish.match)


async def _sound(backend: Backend, _request: web.Request) -> object:
    return await backend.sound()


async def _set_sound(backend: Backend, request: web.Request) -> object:
    chosen = await body(request, ask.SetSound)
    await backend.set_sound(chosen)
    return await backend.sound()


async def _test_sound(backend: Backend, _request: web.Request) -> object:
    return await backend.test_sound()


async def _links(backend: Backend, _request: web.Request) -> object:
    return backend.links()


async def _path(backend: Backend, request: web.Request) -> object:
    return await backend.path(request.match_info["station"])


async def _mesh(backend: Backend, _request: web.Request) -> object:
    return backend.mesh()


async def _doctor(backend: Backend, _request: web.Request) -> object:
    return await backend.doctor()


EVENTS: Final = ask.Endpoint(
    method="GET",
    path="/v1/events",
    text="Follow what happens, from ?cursor= on: an Event a line, or a WebSocket on request."
    " Empty lines only show that the stream is alive.",
)
"""A stream, which the server writes itself."""

ROUTES: Final = (
    Route("GET", "/v1", "List these endpoints.", _index),
    Route("GET", "/v1/status", "Describe this station: Status.", _status),
    Route("PUT", "/v1/name", "Choose our name: SetName → Status.", _set_name),
    Route("GET", "/v1/stations", "List all stations known: a list of Station.", _stations),
    Route(
        "GET",
        "/v1/stations/{station}",
        "Find one by id, the first 4 or more characters of it, name or number: Station.",
        _station,
    ),
    Route(
        "POST",
        "/v1/stations/{station}/verify",
        "Begin to compare six digits, or compare a whole id read out:"
        " StartVerification → Verification.",
        _verify,
    ),
    Route(
        "POST",
        "/v1/peers",
        "Connect to a station by its network address: AddPeer → Station.",
        _add_peer,
    ),
    Route(
        "POST",
        "/v1/messages",
        "Write to a station or to everyone; answers when it is on disk: NewMessage → Message.",
        _send,
    ),
    *STORAGE_ROUTES,
    *TALKING_ROUTES,
    *CONFERENCE_ROUTES,
    Route("GET", "/v1/messages/{message}", "Find one message: Message.", _message),
    Route(
        "POST",
        "/v1/messages/read",
        "Note what the operator has seen: MarkRead → MarkedRead.",
        _mark_read,
    ),
    Route("GET", "/v1/drafts/{conversation}", "Return the text that was begun: Draft.", _draft),
    Route("PUT", "/v1/drafts/{conversation}", "Keep the text that was begun: Draft.", _set_draft),
    Route("GET", "/v1/calls", "List calls, running ones first: a list of CallInfo.", _calls),
    Route("POST", "/v1/calls", "Call a station: PlaceCall → CallInfo.", _place_call),
    Route(
        "PATCH", "/v1/calls/{call}", "Mute or set the volume: ChangeCall → CallInfo.", _change_call
    ),
    Route("POST", "/v1/calls/{call}/answer", "Answer a call: Answer → CallInfo.", _answer),
    Route("POST", "/v1/calls/{call}/hangup", "End, decline or cancel a call: CallInfo.", _hang_up),
    Route(
        "GET",
        "/v1/verifications",
        "List running and recent comparisons: a list of Verification.",
        _verifications,
    ),
    Route(
        "POST",
        "/v1/verifications/{verification}",
        "Say whether both operators saw the same digits: FinishVerification → Verification.",
        _finish_verification,
    ),
    Route("GET", "/v1/sound", "List sound devices: SoundSettings.", _sound),
    Route("PUT", "/v1/sound", "Choose both sound devices: SetSound → SoundSettings.", _set_sound),
    Route("POST", "/v1/sound/test", "Listen and play a tone for 2 s: SoundTest.", _test_sound),
    *HISTORY_ROUTES,
    *GROUP_ROUTES,
    *RECORDING_ROUTES,
    *ATTACHMENT_ROUTES,
    *RECORD_ROUTES,
    Route("GET", "/v1/links", "List network interfaces: a list of Link.", _links),
    Route(
        "GET",
        "/v1/stations/{station}/path",
        "Find over whom packets to a station go now; takes up to 4 s: MeshPath.",
        _path,
    ),
    Route(
        "GET",
        "/v1/mesh",
        "Draw the mesh as stations tell it; asks them meanwhile, so ask again while it says that it"
        " is waiting: Mesh.",
        _mesh,
    ),
    Route("GET", "/v1/doctor", "Look for what is wrong: a list of Check.", _doctor),
)
