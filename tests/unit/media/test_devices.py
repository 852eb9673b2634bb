"""Sound devices on a machine that can't have any."""

import selectors
import sys

import pytest

from appliance.media.devices import Devices
from appliance.media.pcm import SILENCE
from appliance.model.media import MediaEvent
from appliance.model.sound_device import DeviceList


def _answer(devices: Devices) -> MediaEvent | None:
    with selectors.DefaultSelector() as selector:
        selector.register(devices.wake_fd, selectors.EVENT_READ)
        assert selector.select(10.0), "no answer came"
    devices.clear()
    return devices.answer()


class Silencer:
    """A cleaner that finds nothing but noise."""

    name = "silencer"
    problem: str | None = None

    def clean(self, near: bytes, far: bytes) -> bytes:
        del near, far
        return SILENCE

    def reset(self) -> None:
        pass


def test_a_live_microphone_is_no_digital_silence_whatever_is_cleaned_away() -> None:
    devices = Devices()
    devices._cleaner = Silencer()
    try:
        devices._on_frame(SILENCE, 0.0)
        assert devices.captured() == SILENCE
        devices._on_frame(b"\x03\x00" * 960, 0.02)
        frame = devices.captured()
        assert frame is not None
        assert any(frame)
        assert len(frame) == len(SILENCE)
    finally:
        devices.close()


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)  # how Python notes that it can't be had
    devices = Devices()
    try:
        devices.ask_list()
        listed = _answer(devices)
        assert isinstance(listed, DeviceList)
        assert listed.devices == ()
        assert "libportaudio2" in listed.detail
    finally:
        devices.close()
