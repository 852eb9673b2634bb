"""What the daemon itself remembers between starts, beside the station's own records."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from appliance.adapters.store import Store
from appliance.daemon.timekeeper import AWAKE_VALUE
from appliance.model.card import PREKEY_SIZE, Prekey
from appliance.model.media import ChooseDevices
from appliance.model.record import PREKEY_ID_SIZE
from appliance.model.secret import Secret
from appliance.node.ports import GetValue, SetValue, StoreError

PREKEY_VALUE: Final = "prekey"
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

    async def prekey(self) -> tuple[Prekey, Secret]:
        """Return the prekey; made once, and on disk before anybody can seal to it."""
        data = await self.store.perform(GetValue(PREKEY_VALUE))
        if data is None:
            private = X25519PrivateKey.generate()
            data = os.urandom(PREKEY_ID_SIZE) + private.private_bytes_raw()
            await self.store.perform(SetValue(PREKEY_VALUE, data))
        if len(data) != PREKEY_ID_SIZE + PREKEY_SIZE:
            raise StoreError("store-corrupt", "The prekey in the store is damaged.")
        prekey_id, secret = data[:PREKEY_ID_SIZE], data[PREKEY_ID_SIZE:]
        public = X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
        return Prekey(prekey_id, public), Secret(secret)

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
        return ChooseDevices(named[0], named[1])

    async def keep_devices(self, choice: ChooseDevices) -> None:
        """Remember the sound devices that the operator chose."""
        value = {"input": choice.input_device, "output": choice.output_device}
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
