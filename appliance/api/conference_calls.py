"""The part of the client library that is about conferences."""

from __future__ import annotations

from appliance.api.calling import Caller, quoted, shaped
from appliance.api.calls import CallInfo
from appliance.api.conferences import AddToCall


class ConferenceCalls(Caller):
    """Calls of several."""

    async def add_to_call(self, call: str, to: str) -> CallInfo:
        """Have another station join a call; the first time that makes a conference of it."""
        target = f"/v1/calls/{quoted(call)}/add"
        return shaped(CallInfo, await self._call("POST", target, AddToCall(to)))
