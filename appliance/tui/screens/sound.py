"""Sound devices: which are used, and whether they work."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from appliance.api.schema import SoundSettings
from appliance.tui.dialogs import Item, ListDialog, paragraphs
from appliance.tui.look import BOLD
from appliance.tui.pane import Row
from appliance.tui.text import plain_name
from appliance.tui.wording import meter

LOUDSPEAKER = "a loudspeaker: its echo is removed"
NO_REMOVER = "a loudspeaker: install libspeexdsp1 against its echo"
HANDSET = "a handset: the sound stays as it is"
NO_KEY = "none; F3 begins and ends talking"
DEFAULT_DEVICE = "whatever the system uses"
_MAX_DEVICES = 40


def _named(device: str | None) -> str:
    return DEFAULT_DEVICE if device is None else plain_name(device)


def _use(sound: SoundSettings) -> str:
    if sound.handset:
        return HANDSET
    return NO_REMOVER if sound.echo.endswith(".") else LOUDSPEAKER


class SoundDialog(ListDialog):
    """Microphone, speaker, test."""

    title = "Sound"

    def __init__(self) -> None:
        super().__init__()
        self._settings: SoundSettings | None = None
        self._result = ""

    def opened(self) -> None:
        """Ask which devices there are."""
        self.station_app.start(self._load())

    async def _load(self) -> None:
        self._settings = await self.station_app.operator.ask(self.station_app.client.sound())
        self.station_app.redraw()

    def intro(self, width: int) -> list[Row]:
        rows: list[Row] = []
        if self._settings is None:
            rows += [*paragraphs("Asking which devices there are...", width), []]
        elif not self._settings.inputs or not self._settings.outputs:
            what = "microphone" if not self._settings.inputs else "speaker"
            text = f"There is no {what}. Plug a headset in, then open this again."
            rows += [*paragraphs(text, width), []]
        if self._result:
            rows += [*[[(row[0][0], BOLD)] for row in paragraphs(self._result, width)], []]
        return rows

    def items(self) -> list[Item]:
        sound = self._settings
        if sound is None:
            return []
        return [
            Item("Test: speak now, and listen for a tone", self._test),
            Item(f"Microphone: {_named(sound.input)}", lambda: self._choose("input")),
            Item(f"Speaker:    {_named(sound.output)}", lambda: self._choose("output")),
            Item(f"Used with:  {_use(sound)}", self._switch_handset),
            Item(f"Talk key:   {sound.talk_key or NO_KEY}", self._choose_key),
        ]

    def choose(self, item: Item) -> None:
        """Stay open: the result is shown here."""
        item.act()

    def _choose(self, kind: Literal["input", "output"]) -> None:
        if self._settings is not None:
            self.station_app.main.open_dialog(DeviceDialog(self, kind, self._settings))

    def _switch_handset(self) -> None:
        if self._settings is not None:
            self.take(replace(self._settings, handset=not self._settings.handset))

    def _choose_key(self) -> None:
        if self._settings is not None:
            self.station_app.main.open_dialog(KeyDialog(self, self._settings))

    def _test(self) -> None:
        self._result = "Speak now..."
        self.station_app.start(self._run_test())

    async def _run_test(self) -> None:
        heard = await self.station_app.operator.ask(self.station_app.client.test_sound())
        if heard is None:
            self._result = "The test did not work."
        else:
            level = "none" if heard.input_db is None else meter(heard.input_db)
            tone = "played" if heard.output_ok else "could not be played"
            self._result = f"Microphone {level}   tone {tone}\n{heard.text}"
        self.station_app.redraw()

    def take(self, settings: SoundSettings) -> None:
        """Use other devices from now on."""
        self.station_app.start(self._take(settings))

    async def _take(self, settings: SoundSettings) -> None:
        request = self.station_app.client.set_sound(
            input_device=settings.input,
            output_device=settings.output,
            handset=settings.handset,
            talk_key=settings.talk_key,
        )
        taken = await self.station_app.operator.ask(request)
        if taken is not None:
            self._settings = taken
        self.station_app.redraw()


class DeviceDialog(ListDialog):
    """One of the devices that there are."""

    def __init__(
        self, sound: SoundDialog, kind: Literal["input", "output"], settings: SoundSettings
    ) -> None:
        super().__init__()
        self._sound = sound
        self._kind = kind
        self._current = settings
        self.title = "Microphone" if kind == "input" else "Speaker"

    def items(self) -> list[Item]:
        there = self._current.inputs if self._kind == "input" else self._current.outputs
        return [self._item(device) for device in (None, *there[:_MAX_DEVICES])]

    def _item(self, device: str | None) -> Item:
        if self._kind == "input":
            wanted = replace(self._current, input=device)
        else:
            wanted = replace(self._current, output=device)
        return Item(_named(device), lambda: self._sound.take(wanted))


class KeyDialog(ListDialog):
    """Keys that say when they are let go."""

    title = "Talk key"

    def __init__(self, sound: SoundDialog, settings: SoundSettings) -> None:
        super().__init__()
        self._sound = sound
        self._current = settings

    def intro(self, width: int) -> list[Row]:
        text = (
            "You are heard while this key is held: in a call with push to talk, else in the talk "
            "group that was used last. Foot switches can be set to f13 to f24."
        )
        return [*paragraphs(text, width), []]

    def items(self) -> list[Item]:
        return [self._item(key) for key in ("", *self._current.talk_keys)]

    def _item(self, key: str) -> Item:
        wanted = replace(self._current, talk_key=key)
        return Item(key or NO_KEY, lambda: self._sound.take(wanted))
