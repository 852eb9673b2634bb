"""A daemon that is only memory: the fake of the `Backend` port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from api_samples import CALL, STORAGE
from memory_parts import WithParts
from memory_stations import AWAY as AWAY
from memory_stations import CLINIC as CLINIC
from memory_stations import NOW as NOW
from memory_stations import PUMP as PUMP
from memory_stations import US as US
from memory_stations import station

from appliance.api.backend import ApiError, Backend
from appliance.api.event_log import EventLog
from appliance.api.requests import ChangeCall, SetSound
from appliance.api.schema import (
    EVERYONE,
    CallInfo,
    Check,
    Event,
    MediaStatus,
    Message,
    MessagePage,
    Precedence,
    SoundSettings,
    SoundTest,
    Station,
    Status,
    Verification,
)
from appliance.api.storage import FoundMessages, Recipients, SetStorage, Storage
from appliance.model.search import fold, words_of


class MemoryBackend(WithParts, Backend):
    """Whatever is sent arrives, unless the station is away; calls go where the tests push them."""

    def __init__(self) -> None:
        self.log = EventLog("b0")
        self.name = "amber-otter"
        self.all = {
            CLINIC: station(CLINIC, "clinic"),
            PUMP: station(PUMP, "pump house/south", reach="reachable", hops=2, metric=352),
            AWAY: station(AWAY, "school", reach="away", rtt_ms=None),
        }
        self.kept: list[Message] = []
        self.drafts: dict[str, str] = {}
        self.call_list: dict[str, CallInfo] = {}
        self.compared: dict[str, Verification] = {}
        self.chosen_sound: tuple[str | None, str | None] = (None, None)
        self.asked: list[tuple[object, ...]] = []
        self.fault: Exception | None = None
        self.search_slice = 3
        """Messages that a search looks at before it answers."""

        self.stored = STORAGE

    def status(self) -> Status:
        if self.fault is not None:
            raise self.fault
        return Status(
            version="1",
            id=US,
            spoken_id=" ".join(["0000"] * 14),
            tag="0000",
            name=self.name,
            name_is_default=self.name == "amber-otter",
            number="2345678",
            address="fd00::1",
            boot="b0",
            uptime_s=1.0,
            port=1,
            reach=2,
            missed_calls=self.history.missed,
            unread=sum(message.unread for message in self.kept),
            clock=NOW,
            media=MediaStatus(running=True, realtime=False, detail=""),
            problems=(),
        )

    async def set_name(self, name: str) -> Status:
        self.name = name
        self.log.publish("status", self.status())
        return self.status()

    def stations(self) -> tuple[Station, ...]:
        return tuple(self.all.values())

    def station(self, station: str) -> Station:
        found = [
            one
            for one in self.all.values()
            if station == one.name or (len(station) >= 4 and one.id.startswith(station))
        ]
        if not found:
            raise ApiError(404, "unknown-station", f"No station is {station!r}.", "List them.")
        if len(found) > 1:
            raise ApiError(409, "ambiguous-station", "Several stations are meant.", "Say more.")
        return found[0]

    async def add_peer(self, host: str, port: int | None, timeout_s: float) -> Station:
        self.asked.append(("add_peer", host, port, timeout_s))
        return self.all[CLINIC]

    async def send_message(
        self,
        to: str,
        text: str,
        *,
        line: str,
        precedence: Precedence,
        lifetime_s: int | None,
        attachments: tuple[str, ...] = (),
    ) -> Message:
        if len(text) > 16_000:
            raise ApiError(413, "text-too-long", "The text is too long.", "Shorten it.")
        self.asked.append(("send", to, text, line, precedence, lifetime_s))
        conversation = EVERYONE if to == EVERYONE else self.named(to)
        message = self.store(conversation, text, author=US, precedence=precedence)
        if not attachments:
            return message
        self.kept[-1] = self.attachments.attach(self.kept[-1], attachments)
        return self.kept[-1]

    def store(
        self, conversation: str, text: str, *, author: str, precedence: Precedence = "routine"
    ) -> Message:
        """Add a message by us or by another."""
        outgoing = author == US
        order = len(self.kept) + 1
        message = Message(
            id=f"{order:064x}",
            conversation=conversation,
            author=author,
            author_name=self.name if outgoing else self.all[author].name,
            outgoing=outgoing,
            text=text,
            line="console",
            precedence=precedence,
            state="queued" if outgoing else "delivered",
            recipients=(),
            delivered_to=0,
            carried_by=0,
            written_at=NOW,
            received_at=NOW,
            order=order,
            unread=not outgoing,
            problem=None,
        )
        self.kept.append(message)
        self.log.publish("message", message)
        if outgoing and conversation != AWAY:
            self.kept[-1] = replace(message, state="delivered", delivered_to=1)
            self.log.publish("message", self.kept[-1])
        return message

    async def message(self, message: str) -> Message:
        for one in self.kept:
            if one.id == message:
                return one
        raise ApiError(404, "unknown-message", "There is no such message.", "List them.")

    async def messages(
        self,
        conversation: str | None,
        *,
        before: int | None,
        before_id: str | None,
        limit: int,
        after: int | None = None,
        after_id: str | None = None,
    ) -> MessagePage:
        meant = self._meant(conversation, before, before_id)
        if after is not None:
            place = (after, after_id or "g")
            meant = [one for one in meant if (one.order, one.id) > place]
            return MessagePage(messages=tuple(meant[:limit]), more=len(meant) > limit)
        return MessagePage(messages=tuple(meant[-limit:]), more=len(meant) > limit)

    def _meant(
        self, conversation: str | None, before: int | None, before_id: str | None
    ) -> list[Message]:
        return [
            one
            for one in self.kept
            if conversation in (None, one.conversation)
            and (before is None or (one.order, one.id) < (before, before_id or ""))
        ]

    async def search(
        self,
        words: str,
        conversation: str | None,
        *,
        before: int | None,
        before_id: str | None,
        limit: int,
    ) -> FoundMessages:
        """Answers with one part after the other, as large searches do."""
        meant = self._meant(conversation, before, before_id)[::-1]
        part = meant[: self.search_slice]
        found = [one for one in part if all(word in fold(one.text) for word in words_of(words))]
        if len(part) == len(meant):
            return FoundMessages(tuple(found[:limit]), None, None)
        return FoundMessages(tuple(found[:limit]), part[-1].order, part[-1].id)

    async def recipients(self, message: str, *, after: str | None, limit: int) -> Recipients:
        one = await self.message(message)
        shown = [each for each in one.recipients if after is None or each.station > after]
        states = [each.state for each in one.recipients]
        return Recipients(
            recipients=tuple(shown[:limit]),
            more=len(shown) > limit,
            queued=states.count("queued"),
            relayed=states.count("relayed"),
            delivered=states.count("delivered"),
            read=states.count("read"),
            carriers=(PUMP,) * one.carried_by,
        )

    async def storage(self) -> Storage:
        return self.stored

    async def set_storage(self, bounds: SetStorage) -> Storage:
        self.asked.append(("set_storage", bounds))
        return self.stored

    async def mark_read(self, conversation: str, *, up_to: int) -> int:
        count = 0
        for index, one in enumerate(self.kept):
            if one.conversation == conversation and one.unread and one.order <= up_to:
                self.kept[index] = replace(one, unread=False)
                count += 1
        return count

    async def draft(self, conversation: str) -> str:
        return self.drafts.get(conversation, "")

    async def set_draft(self, conversation: str, text: str) -> None:
        self.drafts[conversation] = text

    def calls(self) -> tuple[CallInfo, ...]:
        return tuple(self.call_list.values())

    def push_call(
        self, call: str, state: str, reason: str | None = None, **changes: object
    ) -> None:
        """Bring a call into a state, as the other side would."""
        now = replace(self.call_list[call], state=state, end_reason=reason)
        now = replace(now, **changes)  # type: ignore[arg-type]  # names of fields, by the tests
        self.call_list[call] = now
        self.log.publish("call", now)

    def new_call(self, station: str, *, outgoing: bool) -> CallInfo:
        """Begin one, in either direction."""
        call = replace(
            CALL,
            id=f"c{len(self.call_list) + 1}",
            station=station,
            name=self.all[station].name,
            outgoing=outgoing,
            state="dialling" if outgoing else "ringing-here",
        )
        self.call_list[call.id] = call
        self.log.publish("call", call)
        return call

    async def place_call(
        self, to: str, *, line: str, play: str | None, record: str | None
    ) -> CallInfo:
        self.asked.append(("call", to, line, play, record))
        return self.new_call(self.station(to).id, outgoing=True)

    def _call(self, call: str) -> CallInfo:
        if call not in self.call_list:
            raise ApiError(404, "unknown-call", "There is no such call.", "List them.")
        return self.call_list[call]

    async def answer(self, call: str, *, play: str | None, record: str | None) -> CallInfo:
        self._call(call)
        self.asked.append(("answer", call, play, record))
        self.push_call(call, "talking", talking_s=0.0)
        return self.call_list[call]

    async def hang_up(self, call: str) -> CallInfo:
        state = self._call(call).state
        self.push_call(call, "ended", "declined" if state == "ringing-here" else "hung-up")
        return self.call_list[call]

    async def set_call(self, call: str, change: ChangeCall) -> CallInfo:
        self.asked.append(("set_call", call, change.muted, change.volume_pct))
        now = self._call(call)
        used = now.push_to_talk if change.push_to_talk is None else change.push_to_talk
        left_s = 60.0 if used and change.talking else None
        self.push_call(
            call, now.state, muted=bool(change.muted), push_to_talk=used, talk_left_s=left_s
        )
        return self.call_list[call]

    def push_verification(self, changed: Verification) -> Verification:
        """Bring a comparison into a state."""
        self.compared[changed.id] = changed
        self.log.publish("verification", changed)
        return changed

    async def start_verification(self, station: str) -> Verification:
        id_ = f"v{len(self.compared) + 1}"
        begun = Verification(id_, self.station(station).id, True, "waiting", None, "Waiting.")
        self.push_verification(begun)
        self.push_verification(replace(begun, state="compare", digits="482917"))
        return begun

    async def verify_by_id(self, station: str, spoken_id: str) -> Verification:
        meant = self.station(station).id
        same = spoken_id.replace(" ", "") == meant
        return Verification("v0", meant, True, "verified" if same else "mismatch", None, "Said.")

    def verifications(self) -> tuple[Verification, ...]:
        return tuple(self.compared.values())

    async def finish_verification(self, verification: str, *, match: bool) -> Verification:
        done = replace(
            self.compared[verification], state="verified" if match else "mismatch", text="Done."
        )
        return self.push_verification(done)

    async def sound(self) -> SoundSettings:
        return SoundSettings(("mic",), ("speaker",), *self.chosen_sound)

    async def set_sound(self, chosen: SetSound) -> None:
        self.asked.append(("set_sound", chosen.handset, chosen.talk_key))
        self.chosen_sound = (chosen.input, chosen.output)

    async def test_sound(self) -> SoundTest:
        return SoundTest(input_db=-20.0, output_ok=True, text="The microphone works.")

    async def doctor(self) -> tuple[Check, ...]:
        return (Check("sound", "ok", "Works.", ""), Check("clock", "warn", "Not set.", "Set it."))

    def events(self, cursor: str | None) -> AsyncIterator[Event]:
        return self.log.follow(cursor)
