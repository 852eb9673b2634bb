"""A PipeWire of one's own, with sound cards that can be pulled out: null sinks and null sources.

What runs in its environment finds, through PortAudio and ALSA as on any desktop, the cards of
`CARDS` and the default.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

WAIT_S = 10.0
"""For daemons to come up and nodes to appear, on the busiest machine."""

PROGRAMS = ("pipewire", "wireplumber", "pw-cli", "pw-cat", "pw-dump", "dbus-daemon")

needs_pipewire = pytest.mark.skipif(
    not all(map(shutil.which, PROGRAMS))
    or not list(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pipewire.so")),
    reason="pipewire, wireplumber and pipewire-alsa are not installed",
)

MICROPHONE = "Audio/Source/Virtual"
SPEAKER = "Audio/Sink"

_ALSA = """\
pcm.!default {{ type pipewire {extra}
  hint {{ show on description "Default" }} }}
ctl.!default {{ type pipewire }}
{cards}
"""
_CARD = """\
pcm.{name} {{ type pipewire playback_node "{name}-out" capture_node "{name}-in" {extra}
  hint {{ show on description "{name}" }} }}
"""


class SoundServer:
    """Daemons in a directory of their own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {
            "XDG_RUNTIME_DIR": str(directory),
            "PIPEWIRE_RUNTIME_DIR": str(directory),
            "XDG_CONFIG_HOME": str(directory / "config"),
            "XDG_STATE_HOME": str(directory / "state"),
            "HOME": str(directory),
            "ALSA_CONFIG_PATH": str(directory / "asound.conf"),
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={directory}/bus",
        }
        self._daemons: list[subprocess.Popen[bytes]] = []

    def describe_cards(self, cards: dict[str, str], default: str = "") -> None:
        """What ALSA is told: cards by name, with more of their description (``rate 44100``)."""
        text = "".join(_CARD.format(name=name, extra=extra) for name, extra in cards.items())
        path = self.directory / "asound.conf"
        path.write_text(_ALSA.format(cards=text, extra=default))

    def start(self) -> None:
        """Until nodes can be made."""
        self._spawn("dbus-daemon", "--session", f"--address=unix:path={self.directory}/bus")
        self._await((self.directory / "bus").exists, "no D-Bus")
        self._spawn("pipewire")
        self._await((self.directory / "pipewire-0").exists, "no PipeWire")
        self._spawn("wireplumber")
        self._await(
            lambda: any("WirePlumber" in json.dumps(o) for o in self._dump("Client")),
            "no WirePlumber",
        )

    def stop(self) -> None:
        """End what was started."""
        for daemon in reversed(self._daemons):
            daemon.terminate()
            try:
                daemon.wait(5)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def plug_in(self, name: str, kind: str, *, rate: int = 48_000) -> None:
        """A card appears."""
        properties = (
            f"factory.name=support.null-audio-sink node.name={name} media.class={kind} "
            f"object.linger=1 audio.rate={rate} audio.position=MONO monitor.channel-volumes=true"
        )
        self._cli("create-node", "adapter", "{ " + properties + " }")
        self._await(lambda: self.node(name) is not None, f"no node {name}")

    def pull_out(self, name: str) -> None:
        """It is gone."""
        node = self.node(name)
        assert node is not None
        self._cli("destroy", str(node["id"]))
        self._await(lambda: self.node(name) is None, f"{name} is still there")

    def put_beside(self, speaker: str, microphone: str, *, loudness: float) -> None:
        """From now on a microphone hears a loudspeaker, more softly."""
        node = self.node(microphone)
        assert node is not None
        volume = f"{{ channelVolumes: [ {loudness:g} ] }}"
        self._cli("set-param", str(node["id"]), "Props", volume)
        self._run("pw-link", f"{speaker}:monitor_MONO", f"{microphone}:input_MONO")

    def node(self, name: str) -> dict[str, Any] | None:
        """What the server says of a node."""
        for item in self._dump("Node"):
            properties: dict[str, Any] = item["info"]["props"]
            if properties.get("node.name") == name:
                return {"id": item["id"], **properties}
        return None

    @contextlib.contextmanager
    def spoken(self, path: Path, into: str) -> Iterator[subprocess.Popen[bytes]]:
        """A file of one channel is spoken into a microphone while this lasts."""
        name = "{ node.name=voice }"
        with self._cat("--playback", "--target", "0", "--properties", name, str(path)) as process:
            # No session manager links a player to a source; it begins when it is linked.
            self._await(
                lambda: "voice:output" in self._run("pw-link", "--output"),
                "the player does not start",
            )
            self._run("pw-link", "voice:output_MONO", f"{into}:input_MONO")
            yield process

    @contextlib.contextmanager
    def recorded(self, path: Path, of: str) -> Iterator[subprocess.Popen[bytes]]:
        """What a loudspeaker plays is recorded while this lasts."""
        sink = "{ stream.capture.sink=true }"
        options = ("--record", "--rate", "48000", "--channels", "1", "--format", "s16")
        with self._cat(*options, "--properties", sink, "--target", of, str(path)) as process:
            yield process

    @contextlib.contextmanager
    def _cat(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        process = subprocess.Popen(["pw-cat", *arguments], env=self.whole_environment())
        try:
            yield process
        finally:
            process.terminate()
            process.wait(5)

    def whole_environment(self, **more: str) -> dict[str, str]:
        """Of a program that is to find the cards."""
        return {**os.environ, **self.environment, **more}

    def _spawn(self, *command: str) -> None:
        with (self.directory / f"{command[0]}.log").open("wb") as log:
            self._daemons.append(
                subprocess.Popen(command, env=self.whole_environment(), stdout=log, stderr=log)
            )

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            command, env=self.whole_environment(), capture_output=True, text=True, timeout=WAIT_S
        )
        return done.stdout

    def _cli(self, *arguments: str) -> None:
        self._run("pw-cli", *arguments)

    def _dump(self, kind: str) -> list[dict[str, Any]]:
        text = self._run("pw-dump")
        try:
            items: list[dict[str, Any]] = json.loads(text)
        except ValueError:
            return []
        return [item for item in items if str(item.get("type", "")).endswith(kind)]

    def _await(self, done: Callable[[], object], problem: str) -> None:
        until = time.monotonic() + WAIT_S
        while not done():
            if time.monotonic() > until:
                files = self.directory.glob("*.log")
                logs = "\n".join(path.read_text(errors="replace")[-1000:] for path in files)
                raise AssertionError(f"{problem}\n{logs}")
            time.sleep(0.05)


def tone_file(path: Path, seconds: float) -> Path:
    moments = np.arange(int(48_000 * seconds)) / 48_000
    sound = (8000 * np.sin(2 * np.pi * 500 * moments)).astype(np.int16)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        file.writeframes(sound.tobytes())
    return path
