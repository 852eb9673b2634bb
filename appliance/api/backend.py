"""What the API server asks of the daemon.

The daemon implements this; the server turns HTTP into these calls and their results into JSON.
Every method raises `ApiError` for what the client can be told.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from appliance.api.attachments import AttachmentBackend
from appliance.api.calls import HistoryBackend
from appliance.api.conferences import ConferenceBackend
from appliance.api.groups import GroupBackend
from appliance.api.recordings import RecordingBackend
from appliance.api.records import RecordBackend
from appliance.api.requests import ChangeCall, SetSound
from appliance.api.schema import (
    CallInfo,
    Check,
    Event,
    Link,
    Mesh,
    MeshPath,
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
from appliance.api.talking import TalkBackend


class ApiError(Exception):
    """A request that can't be met: an HTTP status, a code for programs, and words for people."""

    def __init__(self, status: int, code: str, text: str, fix: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.text = text
        self.fix = fix


class Backend(Protocol):
    """The daemon, as its clients see it.

    `to` and `station` take a station id, the first characters of one (at least 4), a name, or a
    seven-digit number; where two stations answer to it, the error says so and lists them.
    """

    def status(self) -> Status:
        """Describe this station."""

    async def set_name(self, name: str) -> Status:
        """Choose the name that others see."""

    def stations(self) -> tuple[Station, ...]:
        """List all stations known, nearest and latest first."""

    def station(self, station: str) -> Station:
        """Find one."""

    async def add_peer(self, host: str, port: int | None, timeout_s: float) -> Station:
        """Connect to a station by its network address and wait until it has proved its key."""

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
        """Write to a station or to ``everyone``; returns when it is on our disk."""

    async def message(self, message: str) -> Message:
        """Find one message by its id."""

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
        """Page back through one conversation, or through all (None); with `after` forwards.

        Without an id all that have the order `before`, or `after`, are left out.  They don't go
        together.
        """

    async def search(
        self,
        words: str,
        conversation: str | None,
        *,
        before: int | None,
        before_id: str | None,
        limit: int,
    ) -> FoundMessages:
        """Look for words in one conversation, or in all (None), for a second at most."""

    async def recipients(self, message: str, *, after: str | None, limit: int) -> Recipients:
        """Tell how far a message of ours came with whom."""

    async def storage(self) -> Storage:
        """Tell how much is kept, and what had to make room."""

    async def set_storage(self, bounds: SetStorage) -> Storage:
        """Choose how much is kept at most; kept over restarts."""

    async def mark_read(self, conversation: str, *, up_to: int) -> int:
        """Note that the operator has seen what came up to that `order`; how many were unread."""

    async def draft(self, conversation: str) -> str:
        """Return the text that was begun in a conversation."""

    async def set_draft(self, conversation: str, text: str) -> None:
        """Keep the text that was begun, over restarts too."""

    def calls(self) -> tuple[CallInfo, ...]:
        """List running calls first, then at most 100 that are over, latest first."""

    async def place_call(
        self, to: str, *, line: str, play: str | None, record: str | None
    ) -> CallInfo:
        """Call; `play` and `record` are WAV files in place of microphone and speaker."""

    async def answer(self, call: str, *, play: str | None, record: str | None) -> CallInfo:
        """Answer a ringing call."""

    async def hang_up(self, call: str) -> CallInfo:
        """End a call, decline it while it rings here, or cancel it while it rings there."""

    async def set_call(self, call: str, change: ChangeCall) -> CallInfo:
        """Mute, change the loudness, push to talk."""

    async def start_verification(self, station: str) -> Verification:
        """Begin to compare with a station that has a session."""

    async def verify_by_id(self, station: str, spoken_id: str) -> Verification:
        """Compare the whole id that was read out with the one that we know."""

    def verifications(self) -> tuple[Verification, ...]:
        """List running and recent comparisons, latest first, abandoned ones too."""

    async def finish_verification(self, verification: str, *, match: bool) -> Verification:
        """Say whether the two operators saw the same digits."""

    async def sound(self) -> SoundSettings:
        """List sound devices."""

    async def set_sound(self, chosen: SetSound) -> None:
        """Choose sound devices; kept over restarts."""

    async def test_sound(self) -> SoundTest:
        """Listen to the microphone and play a tone for 2 s."""

    def links(self) -> tuple[Link, ...]:
        """List network interfaces and who is met there."""

    async def path(self, station: str) -> MeshPath:
        """Find over whom packets to a station go now; takes up to a few seconds."""

    def mesh(self) -> Mesh:
        """Describe the mesh as far as it is known, and ask the nearest stations for more."""

    async def doctor(self) -> tuple[Check, ...]:
        """Look at sound, network, mesh, privileges, clock, disk and ports."""

    @property
    def conferences(self) -> ConferenceBackend:
        """What makes conferences of calls."""

    @property
    def history(self) -> HistoryBackend:
        """What keeps the record of calls."""

    @property
    def attachments(self) -> AttachmentBackend:
        """What takes and gives the files that come with messages."""

    @property
    def groups(self) -> GroupBackend:
        """What does groups."""

    @property
    def talk(self) -> TalkBackend:
        """What does talk groups."""

    @property
    def recordings(self) -> RecordingBackend:
        """What records and plays voice messages."""

    @property
    def records(self) -> RecordBackend:
        """What hands records on by file."""

    def events(self, cursor: str | None) -> AsyncIterator[Event]:
        """Yield what happens after `cursor`; a ``reset`` first where that is gone, or None."""
