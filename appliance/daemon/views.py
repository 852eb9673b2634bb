"""What clients see: the station's state in the shapes of the API."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from appliance.api.schema import (
    EVERYONE,
    Attachment,
    CallInfo,
    Message,
    MessageState,
    Precedence,
    Problem,
    Reach,
    Recipient,
    Station,
    Verification,
    WallTime,
)
from appliance.daemon.attachment_views import shown
from appliance.daemon.call_quality import NOTHING, details_of
from appliance.daemon.conferences import described
from appliance.daemon.mesh_views import MeshViews
from appliance.daemon.runtime import Runtime
from appliance.model.call import Call, CallState
from appliance.model.group import Conversation, GroupId
from appliance.model.identity import StationId
from appliance.model.media import SoundProblem
from appliance.model.message import DeliveryState
from appliance.node.call_record import is_missed
from appliance.node.directory import Contact, Trust
from appliance.node.peers import Peers
from appliance.node.ports import RecipientState, StoredMessage
from appliance.node.verification import Comparison, Stage

PRECEDENCES: Final[tuple[Precedence, ...]] = ("routine", "welfare", "priority", "emergency")
"""By `model.record.Precedence`."""

_STATES: Final[dict[DeliveryState, MessageState]] = {
    DeliveryState.QUEUED: "queued",
    DeliveryState.RELAYED: "relayed",
    DeliveryState.DELIVERED: "delivered",
    DeliveryState.READ: "read",
}

SOUND_WORDS: Final[dict[SoundProblem, tuple[str, str]]] = {
    SoundProblem.NO_SOUND_ARRIVING: (
        "No sound arrives: the link may be down.",
        "Keep holding, it often comes back by itself. Else hang up and call again.",
    ),
    SoundProblem.NO_MICROPHONE: (
        "There is no microphone.",
        "Plug one in, or choose another (F8).",
    ),
    SoundProblem.SILENT_MICROPHONE: (
        "No sound from your microphone.",
        "Is it plugged in? Choose another with F8.",
    ),
    SoundProblem.NO_SPEAKER: ("There is no loudspeaker.", "Plug one in, or choose another (F8)."),
    SoundProblem.WRONG_FORMAT: (
        "The sound has a format that can't be used.",
        "Use a WAV file with PCM samples, or choose another device (F8).",
    ),
    SoundProblem.OTHER_DEVICE: (
        "A sound device that you chose is not there; another one is used.",
        "Plug it in, or choose another (F8).",
    ),
    SoundProblem.ECHO_STAYS: (
        "This board is too slow to take the echo out of your microphone.",
        "Use a headset or a handset.",
    ),
    SoundProblem.CANNOT_RECORD: (
        "The recording can't be written.",
        "Make room on the disk, or record somewhere else.",
    ),
    SoundProblem.UNREADABLE_SOUND: (
        "Sound arrives but can't be decoded.",
        "Hang up and call again.",
    ),
    SoundProblem.MEDIA_GONE: (
        "The sound of this machine has failed; it is being started again.",
        "Wait a moment.",
    ),
}

_VERIFICATION_WORDS: Final[dict[Stage, str]] = {
    Stage.WAITING: "The two stations are exchanging numbers.",
    Stage.COMPARE: "Read the six digits to each other. Do both of you see the same?",
    Stage.VERIFIED: "You compared with {name}: it is verified.",
    Stage.MISMATCH: "It does not match: do not trust this station with anything.",
    Stage.ABANDONED: "This comparison was given up. If that happens often, somebody may be "
    "in the middle.",
    Stage.REFUSED: "{name} begins too often and was refused. Somebody may be guessing.",
}


@dataclass(frozen=True)
class Views:
    """Makes the API's shapes of what the runtime has."""

    runtime: Runtime
    """The station and its surroundings."""

    unread: dict[Conversation, int]
    """Unread messages by conversation; kept by the backend."""

    mesh: MeshViews
    """The part that is about the mesh."""

    def station(self, contact: Contact) -> Station:
        """Describe another station."""
        runtime, sid = self.runtime, contact.id
        peers = runtime.station.peers
        info, session = peers.session(sid), runtime.session_with(sid)
        now = runtime.time.now()
        seen: int | None
        if info is not None:
            since: float | None = now.monotonic - info.opened_at
            seen, sure = now.moment.wall_ms, now.moment.sure
        else:
            away = peers.away_since(sid)
            since = now.monotonic - away if away is not None else None
            seen, sure = contact.seen_ms, contact.seen_sure
        rtt = session.rtt_s if session is not None else None
        way = runtime.station.mesh.way_to(sid)
        return Station(
            id=sid.text,
            tag=sid.tag,
            name=contact.name,
            number=sid.number(),
            trust=contact.trust.value,
            reach=_reach(peers, sid),
            since_s=since,
            last_seen=WallTime(seen, sure) if seen is not None else None,
            rtt_ms=rtt * 1000 if rtt is not None else None,
            host=info.remote_host if info is not None else None,
            link=self.mesh.link_to(sid),
            unread=self.unread.get(sid, 0),
            alarm=runtime.station.directory.alarm(sid),
            has_card=contact.card is not None,
            clock_off_s=runtime.time.off_s(sid),
            hops=self.mesh.hops.hops(sid),
            metric=way.metric if way is not None else None,
        )

    def name_of(self, station: StationId) -> str:
        """Return what a station is called."""
        own = self.runtime.station
        return own.name if station == own.id else own.directory.get(station).name

    def recipient(self, one: RecipientState) -> Recipient:
        """Describe how far a message came with one recipient."""
        return Recipient(
            station=one.station.text,
            state=_STATES[one.state],
            at=WallTime(one.at_ms, one.sure) if one.state else None,
        )

    def message(self, stored: StoredMessage) -> Message:
        """Describe a message."""
        recipients = tuple(self.recipient(one) for one in stored.recipients)
        # It has come to a group when it has come to all of it; who they are is known.
        least = min if isinstance(stored.conversation, GroupId) else max
        furthest = least((one.state for one in stored.recipients), default=DeliveryState.QUEUED)
        if stored.held_by:
            furthest = max(furthest, DeliveryState.RELAYED)
        state = _STATES[furthest] if stored.outgoing else "delivered"
        left_s = None
        if stored.outgoing and stored.expires_awake_s is not None:
            left_s = math.floor(stored.expires_awake_s - self.runtime.time.moment().awake_s)
            if left_s < 0 and furthest < DeliveryState.DELIVERED:
                state = "expired"
        return Message(
            id=stored.id.hex(),
            conversation=stored.conversation.text if stored.conversation else EVERYONE,
            author=stored.author.text,
            author_name=self.name_of(stored.author),
            outgoing=stored.outgoing,
            text=stored.text,
            line=stored.line,
            precedence=PRECEDENCES[stored.precedence],
            state=state if stored.outgoing or stored.unread else "read",
            recipients=recipients,
            delivered_to=stored.delivered_to,
            carried_by=stored.held_by,
            written_at=WallTime(stored.written_ms, stored.written_sure),
            received_at=WallTime(stored.received_ms, stored.received_sure),
            order=stored.order,
            unread=stored.unread,
            problem=stored.problem,
            notice=stored.notice,
            attachments=self._attachments(stored),
            lifetime_s=(stored.lifetime_s or None) if stored.outgoing else None,
            expires_in_s=left_s,
        )

    def _attachments(self, stored: StoredMessage) -> tuple[Attachment, ...]:
        if not stored.attachments:
            return ()
        author = self.runtime.station.directory.get(stored.author)
        return shown(self.runtime.attachments, stored, stranger=author.trust is Trust.NEW)

    def call(self, call: Call, *, volume_pct: int) -> CallInfo:
        """Describe a call."""
        runtime = self.runtime
        now = runtime.time.now()
        end = call.ended_at if call.ended_at is not None else now.monotonic
        stats = runtime.sound.stats.get(call.id) if call.state is not CallState.ENDED else None
        quality = runtime.sound.quality
        verdict = quality.verdict(call.id) if stats is not None else NOTHING
        comparison = runtime.station.verifier.running(call.peer.station)
        talking = call.state in {CallState.CONNECTING, CallState.TALKING}
        shows = comparison is not None and talking
        return CallInfo(
            id=call.id,
            station=call.peer.station.text,
            line=call.peer.line if call.outgoing else call.line,
            name=self.name_of(call.peer.station),
            outgoing=call.outgoing,
            state=call.state.value,
            end_reason=call.end_reason.value if call.end_reason is not None else None,
            detail=call.detail,
            started_at=WallTime(runtime.time.wall_ms_at(call.created_at), now.moment.sure),
            talking_s=end - call.answered_at if call.answered_at is not None else None,
            muted=call.muted,
            volume_pct=volume_pct,
            push_to_talk=call.push_to_talk,
            talk_left_s=(call.talking_until - now.monotonic)
            if call.talking_until > now.monotonic
            else None,
            problems=tuple(
                Problem(problem.value, *SOUND_WORDS[problem]) for problem in call.problems
            ),
            quality=verdict.word,
            loss_pct=stats.loss_pct if stats is not None else 0.0,
            level_in_db=stats.level_in_db if stats is not None else -100.0,
            level_out_db=stats.level_out_db if stats is not None else -100.0,
            digits=comparison.digits if comparison is not None and shows else None,
            verification=comparison.id if comparison is not None and shows else None,
            lost_in_s=self._lost_in_s(call, now.monotonic),
            missed=is_missed(call),
            seen=not is_missed(call),
            encrypted=call.encrypted,
            reason=verdict.reason,
            advice=verdict.advice,
            conference=described(call.conference, self.name_of),
            too_thin=stats is not None and stats.too_thin,
            limit_kbit=call.limit_kbit,
            details=details_of(stats, *quality.shares_pct(call.id)) if stats else None,
        )

    def _lost_in_s(self, call: Call, now: float) -> float | None:
        left_s = self.runtime.station.calls.lost_at(call.id) - now
        return max(left_s, 0.0) if math.isfinite(left_s) else None

    def verification(self, comparison: Comparison) -> Verification:
        """Describe a comparison."""
        name = self.name_of(comparison.station)
        return Verification(
            id=comparison.id,
            station=comparison.station.text,
            ours=comparison.ours,
            state=comparison.stage.value,
            digits=comparison.digits,
            text=_VERIFICATION_WORDS[comparison.stage].format(name=name),
        )

    def verified_by_id(self, station: StationId, *, match: bool) -> Verification:
        """Describe how the comparison of a whole id ended."""
        name = self.name_of(station)
        return Verification(
            id="",
            station=station.text,
            ours=True,
            state="verified" if match else "mismatch",
            digits=None,
            text=f"The id is the one of {name}: it is verified."
            if match
            else f"This is not the id of {name}. Do not trust it with anything.",
        )


def _reach(peers: Peers, station: StationId) -> Reach:
    if peers.session(station) is not None:
        return "here"
    if peers.has_way(station):
        return "reachable"
    return "connecting" if peers.dialling(station) else "away"


def sort_key(station: Station) -> tuple[object, ...]:
    """Order stations for people: alarms, who is here, whom we know, the rest by name."""
    reach = {"here": 0, "reachable": 0, "connecting": 1, "away": 2}[station.reach]
    trust = {Trust.VERIFIED: 0, Trust.KNOWN: 1, Trust.NEW: 2}[Trust(station.trust)]
    return (reach, trust, station.hops or 0, station.name.casefold(), station.id)
