"""What the screen needs of the local API.

`appliance.api.client.Client` fits it (for the methods' contracts see there); tests put an in-tree
fake in its place.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Protocol

from appliance.api.attachments import Upload
from appliance.api.groups import Group, History
from appliance.api.recordings import MAX_RECORDING_S, Playback, Recording, StartPlayback
from appliance.api.schema import (
    CallInfo,
    CallPage,
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
from appliance.api.storage import MAX_RECIPIENTS, FoundMessages, Recipients, Storage
from appliance.api.talking import TalkInfo, TalkPrecedence


class StationClient(Protocol):
    """The daemon, as the screen sees it.  All raise `ClientError`."""

    async def status(self) -> Status: ...

    async def set_name(self, name: str) -> Status: ...

    async def stations(self) -> tuple[Station, ...]: ...

    async def station(self, station: str) -> Station: ...

    async def add_peer(
        self, host: str, port: int | None = None, *, timeout_s: float = 10.0
    ) -> Station: ...

    async def send(
        self,
        to: str,
        text: str,
        *,
        precedence: Precedence = "routine",
        lifetime_s: int | None = None,
        attachments: Sequence[str] = (),
    ) -> Message: ...

    async def upload(
        self, path: Path, *, name: str | None = None, media_type: str | None = None
    ) -> Upload: ...

    async def discard(self, upload: str) -> None: ...

    async def fetch(self, message: str, index: int) -> Message: ...

    async def download(self, message: str, index: int, path: Path) -> int: ...

    async def start_recording(
        self, *, max_s: float = MAX_RECORDING_S, play: str | None = None
    ) -> Recording: ...

    async def stop_recording(self, recording: str) -> Recording: ...

    async def cancel_recording(self, recording: str) -> None: ...

    async def play(self, start: StartPlayback) -> Playback: ...

    async def pause_playback(self, *, paused: bool) -> Playback: ...

    async def stop_playback(self) -> Playback: ...

    async def messages(
        self,
        conversation: str | None = None,
        *,
        before: int | None = None,
        before_id: str | None = None,
        after: int | None = None,
        after_id: str | None = None,
        limit: int = 50,
    ) -> MessagePage: ...

    async def search(
        self, words: str, *, before: int | None, before_id: str | None
    ) -> FoundMessages: ...

    async def recipients(
        self, message: str, *, after: str | None = None, limit: int = MAX_RECIPIENTS
    ) -> Recipients: ...

    async def storage(self) -> Storage: ...

    async def message(self, message: str) -> Message: ...

    async def mark_read(self, conversation: str, *, up_to: int) -> int: ...

    async def draft(self, conversation: str) -> str: ...

    async def set_draft(self, conversation: str, text: str) -> None: ...

    async def groups(self) -> tuple[Group, ...]: ...

    async def group(self, group: str) -> Group: ...

    async def make_group(
        self, name: str, members: Sequence[str] = (), *, history: History = "none"
    ) -> Group: ...

    async def invite(self, group: str, station: str) -> Group: ...

    async def remove_member(self, group: str, station: str) -> Group: ...

    async def make_admin(self, group: str, station: str) -> Group: ...

    async def rename_group(self, group: str, name: str) -> Group: ...

    async def set_history(self, group: str, history: History) -> Group: ...

    async def leave(self, group: str) -> Group: ...

    async def accept(self, group: str) -> Group: ...

    async def decline(self, group: str) -> Group: ...

    async def past_calls(
        self,
        station: str | None = None,
        *,
        missed: bool = False,
        before: int | None = None,
        limit: int = 50,
    ) -> CallPage: ...

    async def see_calls(self, up_to: int, station: str | None = None) -> int: ...

    async def calls(self) -> tuple[CallInfo, ...]: ...

    async def call(self, to: str) -> CallInfo: ...

    async def answer(self, call: str) -> CallInfo: ...

    async def hang_up(self, call: str) -> CallInfo: ...

    async def add_to_call(self, call: str, to: str) -> CallInfo: ...

    async def set_call(
        self,
        call: str,
        *,
        muted: bool | None = None,
        volume_pct: int | None = None,
        push_to_talk: bool | None = None,
        talking: bool | None = None,
    ) -> CallInfo: ...

    async def channels(self) -> tuple[TalkInfo, ...]: ...

    async def listen(self, channel: str, *, on: bool = True) -> TalkInfo: ...

    async def press(self, channel: str, *, precedence: TalkPrecedence = "routine") -> TalkInfo: ...

    async def release(self, channel: str) -> TalkInfo: ...

    async def replay(self, channel: str, *, on: bool = True) -> TalkInfo: ...

    async def verify(self, station: str, *, spoken_id: str | None = None) -> Verification: ...

    async def verifications(self) -> tuple[Verification, ...]: ...

    async def finish_verification(self, verification: str, *, match: bool) -> Verification: ...

    async def sound(self) -> SoundSettings: ...

    async def set_sound(
        self,
        *,
        input_device: str | None,
        output_device: str | None,
        handset: bool | None = None,
        talk_key: str | None = None,
    ) -> SoundSettings: ...

    async def test_sound(self) -> SoundTest: ...

    async def path_to(self, station: str) -> MeshPath: ...

    async def mesh(self) -> Mesh: ...

    async def links(self) -> tuple[Link, ...]: ...

    def events(self, cursor: str | None = None) -> AsyncGenerator[Event]: ...
