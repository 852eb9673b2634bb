"""Turns what clients name into what the station knows, and its errors into theirs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final, TypeVar

from appliance.api.backend import ApiError
from appliance.api.schema import EVERYONE
from appliance.daemon.runtime import Runtime
from appliance.model.group import Conversation, GroupId
from appliance.model.identity import Address, IdentityError, StationId, is_line_name
from appliance.node.calls import CallError
from appliance.node.directory import UnknownStationError
from appliance.node.group_state import Standing
from appliance.node.ports import Operation, StoreError

R = TypeVar("R")

MIN_GROUP_CHARS: Final = 5
"""Of a group's id, with the first one that all have."""


class Lookup:
    """Finds things; raises ApiError where they are not there."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def find(self, text: str) -> StationId:
        """Find a station by id, start of an id, name or number."""
        own = self._runtime.station
        if text.strip().lower() in {own.id.text, own.name.lower(), own.id.number()}:
            raise ApiError(422, "self", "That is this station.", "Choose another one.")
        try:
            return own.directory.find(text)
        except UnknownStationError as error:
            code = "ambiguous-station" if error.matches else "unknown-station"
            fix = "Give the start of its id." if error.matches else "Run: fencewire stations"
            raise ApiError(
                404 if code[0] == "u" else 409, code, f"{sentence(error)}.", fix
            ) from None

    def address(self, to: str, line: str) -> Address:
        """Find a line at a station."""
        return _line(self.find(to), line)

    def conversation(self, conversation: str) -> Conversation:
        """Find the other side of a conversation; None: everyone."""
        if conversation == EVERYONE:
            return None
        groups = self._groups(conversation)
        try:
            station = self.find(conversation)
        except ApiError as error:
            if error.code == "ambiguous-station" or not groups:
                raise
            return self._only(conversation, groups)
        if groups:
            raise ApiError(
                409,
                "ambiguous-name",
                f"Both a station and a group are named {conversation}.",
                f"Give the start of an id: {station.tag} or {groups[0].text[:5]}.",
            )
        return station

    def destination(self, to: str, line: str) -> Address | GroupId | None:
        """Find whom a message is for; None: everyone."""
        found = self.conversation(to)
        return _line(found, line) if isinstance(found, StationId) else found

    def group(self, text: str) -> GroupId:
        """Find a group by id, start of an id or name."""
        return self._only(text, self._groups(text))

    def _groups(self, text: str) -> list[GroupId]:
        """Return the groups that answer to a text: those that we are in before others."""
        book = self._runtime.station.post.groups.groups.book
        plain = text.strip()
        try:
            whole = GroupId.parse(plain)
        except IdentityError:
            start = "".join(plain.lower().split()).replace("-", "")
            found = [
                group
                for group in book
                if group.name.casefold() == plain.casefold()
                or (len(start) >= MIN_GROUP_CHARS and group.id.text.startswith(start))
            ]
        else:
            found = [group for group in book if group.id == whole]
        now = [group.id for group in found if group.standing is not Standing.OUT]
        return now or [group.id for group in found]

    @staticmethod
    def _only(text: str, groups: list[GroupId]) -> GroupId:
        if not groups:
            raise ApiError(
                404, "unknown-group", f"There is no group {text!r}.", "Run: fencewire group list"
            )
        if len(groups) > 1:
            ids = ", ".join(group.text[:8] for group in groups[:4])
            raise ApiError(
                409,
                "ambiguous-group",
                f"{len(groups)} groups are named {text}: {ids}.",
                "Give the start of an id.",
            )
        return groups[0]

    async def perform(self, operation: Operation[R]) -> R:
        """Carry out an operation on the store."""
        try:
            result: R = await self._runtime.store.perform(operation)
        except StoreError as error:
            raise store_error(str(error)) from None
        return result


def _line(station: StationId, line: str) -> Address:
    if not is_line_name(line):
        raise ApiError(422, "bad-line", f"No line can be named {line!r}.")
    return Address(station, line)


def check_files(play: str | None, record: str | None) -> None:
    """Refuse stand-in files that are not there."""
    if play is not None and not Path(play).is_file():
        raise ApiError(422, "no-file", f"There is no file {play}.", "Give the full path of a file.")
    if record is not None and not Path(record).parent.is_dir():
        raise ApiError(422, "no-file", f"There is no folder for {record}.", "Make it first.")


def call_error(error: CallError) -> ApiError:
    """Say why a command to a call does not fit."""
    return ApiError(409, "call-refused", f"{sentence(error)}.")


def store_error(why: str) -> ApiError:
    """Say why something was not stored."""
    return ApiError(507, "not-stored", why, "Nothing was sent. Make room and try again.")


def sentence(error: Exception) -> str:
    """Begin with a capital letter."""
    text = str(error)
    return text[:1].upper() + text[1:]


def fail(answer: asyncio.Future[Any], why: str) -> None:
    """Give an error to whoever waits, once."""
    if not answer.done():
        answer.set_exception(store_error(why))


def succeed(answer: asyncio.Future[R], value: R) -> None:
    """Give the result to whoever waits, if anybody still does."""
    if not answer.done():
        answer.set_result(value)
