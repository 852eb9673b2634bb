"""Sound devices and the talk key, as the operator chooses and tries them."""

from __future__ import annotations

from typing import Final, Protocol, TypeVar

from appliance.adapters.held_key import KEYS, HeldKey
from appliance.adapters.media_client import MediaUnavailableError
from appliance.api.backend import ApiError
from appliance.api.requests import SetSound
from appliance.api.schema import SoundSettings, SoundTest
from appliance.daemon.runtime import Runtime
from appliance.daemon.settings import Settings
from appliance.model.sound_device import (
    ChooseDevices,
    DeviceList,
    Levels,
    ListDevices,
    TestLevels,
)

ANSWER_S: Final = 5.0
"""For the voice process, which listens for 2 s."""

R = TypeVar("R")


class OnKey(Protocol):
    """Who hears of the talk key."""

    def __call__(self, *, held: bool) -> None:
        """It went down, or up."""


class SoundDesk:
    """What the API says and takes of sound."""

    def __init__(self, runtime: Runtime, settings: Settings, *, on_key: OnKey) -> None:
        self._runtime = runtime
        self._settings = settings
        self._key = HeldKey(lambda held: on_key(held=held))
        self._key_name = ""

    async def run(self) -> None:
        """Watch for the talk key."""
        self._use_key(await self._settings.talk_key())
        await self._key.run()

    def _use_key(self, name: str) -> None:
        self._key_name = name if name in KEYS else ""
        self._key.choose(self._key_name)

    async def settings(self) -> SoundSettings:
        """Ask which devices there are."""
        devices = await self._ask(ListDevices(), DeviceList)
        ready = self._runtime.sound.ready
        return SoundSettings(
            inputs=tuple(device.name for device in devices.devices if device.inputs),
            outputs=tuple(device.name for device in devices.devices if device.outputs),
            input=devices.input_device,
            output=devices.output_device,
            handset=devices.handset,
            echo=ready.echo if ready is not None else "",
            talk_key=self._key_name,
            talk_keys=tuple(KEYS),
        )

    async def choose(self, chosen: SetSound) -> None:
        """Use other devices, or another key, from now on and after the next start."""
        there = await self.settings()
        for name, names, now in (
            (chosen.input, there.inputs, there.input),
            (chosen.output, there.outputs, there.output),
        ):
            # One that was chosen and is pulled out may stay chosen.
            if name is not None and name not in names and name != now:
                text = f"There is no sound device {name!r}."
                raise ApiError(422, "no-device", text, "Run: fencewire sound")
        key = there.talk_key if chosen.talk_key is None else chosen.talk_key
        if key and key not in KEYS:
            text = f"There is no talk key {key!r}."
            raise ApiError(422, "no-key", text, f"Choose one of: {', '.join(KEYS)}")
        handset = there.handset if chosen.handset is None else chosen.handset
        choice = ChooseDevices(chosen.input, chosen.output, handset)
        await self._settings.keep_devices(choice, talk_key=key)
        self._runtime.sound.command(choice)
        self._use_key(key)

    async def test(self) -> SoundTest:
        """Listen, and play a tone."""
        levels = await self._ask(TestLevels(), Levels)
        return SoundTest(levels.input_db, levels.output_ok, levels.detail)

    async def _ask(self, command: ListDevices | TestLevels, answer: type[R]) -> R:
        try:
            return await self._runtime.sound.ask(command, answer, ANSWER_S)
        except (MediaUnavailableError, TimeoutError):
            raise ApiError(
                503, "no-media", "The voice process does not answer.", "Run: fencewire doctor"
            ) from None
