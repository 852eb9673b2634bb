"""What the daemon itself remembers between starts, beside the station's own records."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.adapters.prekey_files import PrekeyFiles, latest_s
from appliance.adapters.store import Store
from appliance.daemon.timekeeper import AWAKE_VALUE
from appliance.model.record import PREKEY_ID_SIZE
from appliance.model.secret import Secret
from appliance.model.sound_device import ChooseDevices
from appliance.node.ports import GetValue, SetValue, StoreError
from appliance.node.ports.prekeys import SECRET_SIZE, KeepPrekey, KeptPrekey
from appliance.node.prekeys import new_prekey

log = logging.getLogger(__name__)

PREKEY_VALUE: Final = "prekey"
"""Where version 0.2 had its prekey: id and secret half."""

PEERS_VALUE: Final = "peers"
SOUND_VALUE: Final = "sound"


@dataclass(frozen=True)
class Settings:
    """Small values in the store."""

    store: Store
    """Where they are."""

    directory: Path
    """The state directory."""

    boot: bytes
    """This start."""

    async def prekeys(self, files: PrekeyFiles) -> tuple[KeptPrekey, ...]:
        """Return our prekeys, one of them in use; it is on disk before anybody can seal to it.

        An earlier version had its only one in the store.  That is moved: written to its file first,
        then overwritten in the store, then forgotten there.  What the store's log and free pages
        still hold of it goes as they are used again.
        """
        kept = files.load()
        awake_s = max(await self.awake_s(), latest_s(kept))
        data = await self.store.perform(GetValue(PREKEY_VALUE))
        if data is not None:
            moved = _earlier(data, awake_s)
            if moved is not None and all(one.id != moved.id for one in kept):
                kept = (*kept, moved)
            else:
                moved = None
            try:
                if moved is not None:
                    await files.perform(KeepPrekey(moved))
                await self.store.perform(SetValue(PREKEY_VALUE, bytes(len(data))))
                await self.store.perform(SetValue(PREKEY_VALUE, None))
            except StoreError as error:
                log.warning("the prekey stays in the store until there is room: %s", error)
        if all(one.retired_s is not None for one in kept):
            new = new_prekey(os.urandom, awake_s)
            await files.perform(KeepPrekey(new))
            kept = (*kept, new)
        return kept

    async def awake_s(self) -> float:
        """Return how long this station had been running before this start."""
        data = await self.store.perform(GetValue(AWAKE_VALUE))
        text = data.decode(errors="replace") if data is not None else ""
        return int(text) / 1000 if text.isascii() and text.isdigit() else 0.0

    async def addresses(self) -> tuple[tuple[str, int], ...]:
        """Return the addresses that the operator has added."""
        pairs = await self._json(PEERS_VALUE)
        if not isinstance(pairs, list):
            return ()
        return tuple(
            (pair[0], pair[1])
            for pair in pairs
            if isinstance(pair, list)
            and len(pair) == 2
            and isinstance(pair[0], str)
            and isinstance(pair[1], int)
        )

    async def keep_addresses(self, addresses: tuple[tuple[str, int], ...]) -> None:
        """Remember the addresses that the operator has added."""
        data = json.dumps(addresses).encode()
        await self.store.perform(SetValue(PEERS_VALUE, data))

    async def devices(self) -> ChooseDevices | None:
        """Return the sound devices that the operator chose."""
        chosen = await self._json(SOUND_VALUE)
        if not isinstance(chosen, dict):
            return None
        names = [chosen.get("input"), chosen.get("output")]
        named = [name if isinstance(name, str) else None for name in names]
        return ChooseDevices(named[0], named[1], chosen.get("handset") is True)

    async def talk_key(self) -> str:
        """Return the key that talks while it is held; empty: none."""
        chosen = await self._json(SOUND_VALUE)
        name = chosen.get("talk_key") if isinstance(chosen, dict) else None
        return name if isinstance(name, str) else ""

    async def keep_devices(self, choice: ChooseDevices, *, talk_key: str) -> None:
        """Remember the sound devices and the talk key that the operator chose."""
        value = {
            "input": choice.input_device,
            "output": choice.output_device,
            "handset": choice.handset,
            "talk_key": talk_key,
        }
        await self.store.perform(SetValue(SOUND_VALUE, json.dumps(value).encode()))

    async def _json(self, name: str) -> object:
        data = await self.store.perform(GetValue(name))
        if data is None:
            return None
        try:
            value: object = json.loads(data)
        except ValueError:
            return None
        return value


def _earlier(data: bytes, awake_s: float) -> KeptPrekey | None:
    """Return the prekey of an earlier version, unless it is damaged or overwritten already."""
    prekey_id, secret = data[:PREKEY_ID_SIZE], data[PREKEY_ID_SIZE:]
    if len(secret) != SECRET_SIZE or not any(secret):
        return None
    return KeptPrekey(prekey_id, Secret(secret), awake_s)
