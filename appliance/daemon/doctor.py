"""What is well on this machine and what is not, each with what to do."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import socket
from pathlib import Path
from typing import Final

from appliance.adapters.links import usable_links
from appliance.adapters.media_client import MediaUnavailableError
from appliance.adapters.sessions import DEFAULT_PORT
from appliance.api.schema import Check
from appliance.daemon.runtime import Runtime
from appliance.model.sound_device import DeviceList, ListDevices
from appliance.node.mesh import Mesh
from appliance.protocol.agreed_time import NOT_SET

LOW_DISK_BYTES: Final = 200 * 1024 * 1024
WITHOUT_SOUND: Final = "Files work without: call --play --record."
MDNS_GROUP: Final = "224.0.0.251"
BUILT_MS: Final = 1_780_000_000_000
"""May 2026: a clock before this was never set."""

_CONGESTION: Final = Path("/proc/sys/net/ipv4/tcp_congestion_control")
_OWN_STATUS: Final = Path("/proc/self/status")
_ALLOWED: Final = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control")


async def examine(runtime: Runtime, state_dir: Path) -> tuple[Check, ...]:
    """Look at everything; takes up to a few seconds."""
    network = await asyncio.to_thread(_multicast, runtime)
    return (
        await _sound(runtime),
        network,
        *_mesh(runtime.station.mesh),
        _ports(runtime),
        _privileges(runtime),
        _clock(runtime),
        _disk(state_dir),
        _congestion(),
    )


async def _sound(runtime: Runtime) -> Check:
    try:
        devices = await runtime.sound.ask(ListDevices(), DeviceList, 5.0)
    except (MediaUnavailableError, TimeoutError):
        return Check(
            "sound",
            "bad",
            "The voice process does not answer, so calls are not possible.",
            "Restart Fencewire; if that does not help, look into its log.",
        )
    if devices.detail:
        return Check("sound", "warn", f"Calls are silent here. {devices.detail}", WITHOUT_SOUND)
    inputs = sum(1 for device in devices.devices if device.inputs)
    outputs = sum(1 for device in devices.devices if device.outputs)
    if not inputs or not outputs:
        missing = "sound card, so calls are silent here"
        if outputs:
            missing = "microphone, so nobody hears you in a call"
        elif inputs:
            missing = "loudspeaker, so you hear nobody in a call"
        return Check(
            "sound",
            "warn",
            f"There is no {missing}.",
            f"Plug in a headset or a USB sound card. {WITHOUT_SOUND}",
        )
    count = f"{inputs} microphones and {outputs} loudspeakers."
    echo = runtime.sound.ready.echo if runtime.sound.ready is not None else ""
    if echo.endswith(".") and not devices.handset:
        fix = "Use a headset, or: sudo apt-get install libspeexdsp1"
        return Check("sound", "warn", f"{count} {echo}", fix)
    return Check("sound", "ok", count, "")


def _multicast(runtime: Runtime) -> Check:
    links = [one for one in usable_links(runtime.snapshot) if not one.loopback]
    if not links:
        return Check("network", "bad", "No network interface is up.", "Plug in a cable or a radio.")
    names = ", ".join(one.name for one in links)
    failed = []
    for one in links:
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                request = socket.inet_aton(MDNS_GROUP) + bytes(4) + one.index.to_bytes(4, "little")
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
        except OSError:
            failed.append(one.name)
    if failed or not runtime.discovering:
        return Check(
            "network",
            "warn",
            f"Others can't be found by themselves on {', '.join(failed) or names}.",
            "Give an address: fencewire peer HOST",
        )
    return Check("network", "ok", f"Others are looked for on {names}.", "")


def _mesh(mesh: Mesh) -> tuple[Check, ...]:
    """Look at the network helper, its routing and its firewall, which says itself what fails."""
    if not mesh.joined:
        return (
            Check(
                "mesh",
                "warn",
                "No network helper runs, so only neighbours are reached, and messages hop.",
                "Start Fencewire as root (scripts/run), which keeps root for the helper alone; "
                "on the image: systemctl restart fencewire-net",
            ),
        )
    found = [Check("mesh", "warn", one.text, one.fix) for one in mesh.problems]
    used = ", ".join(one.name for one in mesh.links() if one.used)
    if not mesh.routing and not found:
        text = "The network helper runs without routing, so only neighbours are reached."
        found.append(Check("mesh", "warn", text, "Wait a minute; else look into its log."))
    if not used:
        why = "; ".join(f"{one.name}: {one.why_not}" for one in mesh.links() if one.why_not)
        text = "The mesh runs over no network interface."
        found.append(Check("mesh", "warn", text, why or "Plug in a cable or a radio."))
    if found:
        return tuple(found)
    count = len(mesh.reached())
    text = (
        f"{count} station{'' if count == 1 else 's'} reached over {used}, fenced off from the rest."
    )
    return (Check("mesh", "ok", text, ""),)


def _ports(runtime: Runtime) -> Check:
    port = runtime.sessions.port
    if port != DEFAULT_PORT:
        return Check(
            "ports",
            "warn",
            f"Sessions are taken on TCP port {port}, since {DEFAULT_PORT} was in use.",
            "Others find it by themselves; for `fencewire peer` they have to give the port.",
        )
    return Check(
        "ports",
        "ok",
        f"Sessions are taken on TCP port {port}, voice on free UDP ports.",
        "",
    )


def _privileges(runtime: Runtime) -> Check:
    ready = runtime.sound.ready
    if _has_capabilities():
        return Check(
            "privileges",
            "warn",
            "Fencewire runs with root's rights, which it does not need.",
            "Start it as an ordinary user.",
        )
    if ready is None or not ready.realtime:
        limit, _ = resource.getrlimit(resource.RLIMIT_RTPRIO)
        return Check(
            "privileges",
            "warn",
            f"Voice has no real-time priority (limit {limit}), so it may stutter under load.",
            "Add a line to /etc/security/limits.conf: @audio - rtprio 30",
        )
    return Check("privileges", "ok", "Voice runs with real-time priority.", "")


def _has_capabilities() -> bool:
    """Tell whether the kernel lets us do more than others; root in a village may do nothing."""
    try:
        lines = _OWN_STATUS.read_text().splitlines()
    except OSError:
        return os.geteuid() == 0
    held = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(held.get("CapEff", "0"), 16) != 0


def _clock(runtime: Runtime) -> Check:
    moment = runtime.time.moment()
    source = runtime.time.source
    if source != NOT_SET:
        return Check("clock", "ok", f"{source[:1].upper()}{source[1:]}.", "")
    if moment.wall_ms < BUILT_MS:
        return Check(
            "clock",
            "warn",
            "The clock was never set, so times are shown with a ~.",
            "Nothing is lost by it. To set it: date -s '2026-01-31 12:00'",
        )
    return Check(
        "clock",
        "ok",
        "No time source is known and too few stations agree, so times are shown with a ~. "
        "Nothing depends on them.",
        "",
    )


def _disk(state_dir: Path) -> Check:
    free = shutil.disk_usage(state_dir).free
    text = f"{free // 1_000_000} MB are free for messages in {state_dir}."
    if free < LOW_DISK_BYTES:
        return Check("disk", "bad" if free < LOW_DISK_BYTES // 10 else "warn", text, "Make room.")
    return Check("disk", "ok", text, "")


def _congestion() -> Check:
    try:
        using, allowed = _CONGESTION.read_text().strip(), _ALLOWED.read_text().split()
    except OSError:
        return Check("tcp", "warn", "This kernel does not say how it handles loss.", "")
    if using == "bbr" or "bbr" in allowed:
        return Check("tcp", "ok", "TCP uses BBR, which holds on bad links.", "")
    return Check(
        "tcp",
        "warn",
        f"TCP uses {using}, which is slow on links that lose packets.",
        "As root: modprobe tcp_bbr; "
        "sysctl net.ipv4.tcp_allowed_congestion_control='reno cubic bbr'",
    )
