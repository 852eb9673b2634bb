"""Sound devices on a machine that can't have any."""

import selectors
import sys

import pytest

from appliance.media.devices import Devices
from appliance.model.media import MediaEvent
from appliance.model.sound_device import DeviceList


def _answer(devices: Devices) -> MediaEvent | None:
    with selectors.DefaultSelector() as selector:
        selector.register(devices.wake_fd, selectors.EVENT_READ)
        assert selector.select(10.0), "no answer came"
    devices.clear()
    return devices.answer()


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
