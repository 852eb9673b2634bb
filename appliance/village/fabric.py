"""The cables of a village, in the keeper's own network namespace, which is the switch room.

A cable is two ports in a bridge of its own; a port is the far side of a veth pair whose near side
is the station's eth0 (or a port of the bridge that is the shared network). So everything that a
cable does to its packets happens out of the stations' sight and reach:

- unplugged: both ports are set down, so both stations lose their carrier;
- loss: an nftables rule where a frame enters, or the relay where the kernel has no such rule;
- rate: a token bucket (TBF) where a frame leaves;
- delay: the two ports may no longer talk to each other (`isolated`), and the relay carries the
  frames. Changing any of it leaves the stations' interfaces as they are.

What stays out: stations and their processes (`keeper`), and moving frames in Python (`relay`).
"""

import ctypes
import fcntl
import socket
import struct
import sys
from pathlib import Path
from typing import Any

from appliance.village import namespaces, tools
from appliance.village.errors import VillageError
from appliance.village.relay import RelayProcess
from appliance.village.settings import LinkSettings
from appliance.village.topology import LAN, Cable, Topology

NETNS_DIR = Path("/run/netns")
"""Where `ip netns` looks for names."""

MAX_RELAY_RESTARTS = 20
"""In a village's life; a relay that keeps dying is a fault to be seen, not to be hidden."""

_SIOCETHTOOL = 0x8946
_ETHTOOL_STSO = 0x1F

_TBF_LEAST_QUEUE_BYTES = 15_140
"""Ten full frames: what a small modem holds."""

_TBF_QUEUE_S = 0.2
"""A queue of 200 ms, as cheap equipment has; what does not fit is dropped at the tail."""

_TBF_BURST_S = 0.005
"""The bucket: 5 ms of the rate, and at least one full frame with its VLAN tag."""


class Fabric:
    """Builds the cables once and then applies settings to them."""

    def __init__(self, topology: Topology, netns: dict[str, int]) -> None:
        """`netns` maps each station to a descriptor of its network namespace."""
        self.topology = topology
        self.settings = [LinkSettings() for _ in topology.cables]
        self._netns = netns
        self._home = namespaces.open_namespace("net")
        self._relays: dict[int, RelayProcess] = {}
        self._restarts_left = MAX_RELAY_RESTARTS
        self._kernel_loss = False
        self._chains: list[str] = []

    def build(self) -> None:
        """Make all cables and give every station end its address; `VillageError` if it fails."""
        _quiet_switch()
        batch = ["link set lo up"]
        if any(cable.b is None for cable in self.topology.cables):
            batch += [_bridge(LAN), f"link set {LAN} up"]
        for cable in self.topology.cables:
            batch += _build_cable(cable)
        tools.run("ip", "-batch", "-", stdin="\n".join(batch) + "\n")
        for station in self.topology.stations:
            batch = ["link set lo up"]
            for plug in self.topology.plugs(station):
                batch.append(f"addr add {plug.ipv4}/24 brd + dev {plug.interface}")
                batch.append(f"link set {plug.interface} up")
            tools.run("ip", "-n", station, "-batch", "-", stdin="\n".join(batch) + "\n")
        self._kernel_loss = _has_kernel_loss()

    def apply(self, cable: Cable, settings: LinkSettings) -> None:
        """Make `settings` true for a cable, touching only what changes."""
        before = self.settings[cable.index]
        if settings.rate_kbit != before.rate_kbit:
            for port in _ports(cable):
                _set_rate(port, settings.rate_kbit)
        if bool(settings.loss_pct) != bool(before.loss_pct):
            self._set_segmentation_offload(cable, on=not settings.loss_pct)
        wants_relay = bool(settings.delay_ms or (settings.loss_pct and not self._kernel_loss))
        self.settings[cable.index] = settings
        if wants_relay:
            self._use_relay(cable, settings)
        else:
            self._drop_relay(cable)
        self._write_loss_rules()
        if settings.up != before.up:
            state = "up" if settings.up else "down"
            batch = [f"link set {port} {state}\n" for port in _ports(cable)]
            tools.run("ip", "-batch", "-", stdin="".join(batch))

    def mend(self, pid: int) -> bool:
        """Replace the relay that had this process id, if one had."""
        found = [index for index, relay in self._relays.items() if relay.pid == pid]
        for index in found:
            self._relays.pop(index).close()
            cable = self.topology.cables[index]
            sys.stderr.write(f"The relay between {' and '.join(cable.ends)} ended by itself.\n")
            if self._restarts_left:
                self._restarts_left -= 1
                self._use_relay(cable, self.settings[index])
        return bool(found)

    def describe(self, cable: Cable) -> dict[str, Any]:
        """A cable for `village status`."""
        relay = self._relays.get(cable.index)
        settings = self.settings[cable.index]
        return {
            "a": cable.ends[0],
            "b": cable.ends[1],
            **settings.as_json(),
            "relay": relay.set(settings) if relay else None,
        }

    def _use_relay(self, cable: Cable, settings: LinkSettings) -> None:
        relay = self._relays.get(cable.index)
        if relay:
            relay.set(settings)
            return
        relay = self._relays[cable.index] = RelayProcess(_ports(cable))
        _isolate(cable, on=True)
        relay.set(settings)

    def _drop_relay(self, cable: Cable) -> None:
        relay = self._relays.pop(cable.index, None)
        if relay:
            relay.close()
            _isolate(cable, on=False)

    def _write_loss_rules(self) -> None:
        """One table for all cables, replaced whole, so that no frame meets half of it."""
        if not self._kernel_loss:
            return
        chains = []
        for cable in self.topology.cables:
            loss_pct = self.settings[cable.index].loss_pct
            if loss_pct and cable.index not in self._relays:
                chains += [_loss_chain(port, loss_pct) for port in _ports(cable)]
        if chains != self._chains:
            tools.run("nft", "-f", "-", stdin=_LOSS_RESET + _loss_table(chains))
            self._chains = chains

    def _set_segmentation_offload(self, cable: Cable, *, on: bool) -> None:
        """With loss, let TCP cross as single frames; else one loss takes 64 kB at once."""
        ends = [(self._netns[plug.station], plug.interface) for plug in (cable.a, cable.b) if plug]
        if cable.b is None:
            ends.append((self._home, _hub_port(cable)))
        for netns, interface in ends:
            namespaces.setns(netns)
            try:
                _set_tso(interface, on=on)
            finally:
                namespaces.setns(self._home)


def _ports(cable: Cable) -> tuple[str, str]:
    return f"l{cable.index}a", f"l{cable.index}b"


def _hub_port(cable: Cable) -> str:
    return f"l{cable.index}h"


def _bridge(name: str) -> str:
    return f"link add {name} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"


def _build_cable(cable: Cable) -> list[str]:
    """The `ip` commands that make one cable."""
    bridge = f"l{cable.index}"
    near, far = _ports(cable)

    def plug(port: str, station: str, interface: str, mac: str) -> str:
        peer = f"peer name {interface} address {mac} netns {station}"
        return f"link add {port} type veth {peer}"

    batch = [_bridge(bridge), plug(near, cable.a.station, cable.a.interface, cable.a.mac)]
    if cable.b:
        batch.append(plug(far, cable.b.station, cable.b.interface, cable.b.mac))
    else:
        hub = _hub_port(cable)
        batch.append(f"link add {far} type veth peer name {hub}")
        batch.append(f"link set {hub} master {LAN} up")
    batch += [f"link set {port} master {bridge} up" for port in (near, far)]
    return [*batch, f"link set {bridge} up"]


def _quiet_switch() -> None:
    """Keep the switch from sending packets of its own and from filtering what it bridges."""
    for name in ("ipv6/conf/all/disable_ipv6", "ipv6/conf/default/disable_ipv6"):
        Path("/proc/sys/net", name).write_text("1", encoding="ascii")
    for name in ("iptables", "ip6tables", "arptables"):
        switch = Path(f"/proc/sys/net/bridge/bridge-nf-call-{name}")
        if switch.exists():
            switch.write_text("0", encoding="ascii")


_LOSS_RESET = "table netdev loss {}\ndelete table netdev loss\n"


def _loss_chain(port: str, loss_pct: float) -> str:
    share = round(loss_pct * 10_000)
    lost = f"numgen random mod 1000000 < {share}" if share < 1_000_000 else ""
    hook = f'type filter hook ingress device "{port}" priority 0;'
    return f"chain {port} {{ {hook} {lost} drop; }}"


def _loss_table(chains: list[str]) -> str:
    return "table netdev loss {\n" + "\n".join(chains) + "\n}\n"


def _has_kernel_loss() -> bool:
    """Whether this kernel and its `nft` take the rule."""
    if not tools.find("nft"):
        return False
    try:
        tools.run("nft", "-f", "-", stdin=_LOSS_RESET + _loss_table([_loss_chain("lo", 0.01)]))
        tools.run("nft", "-f", "-", stdin=_LOSS_RESET)
    except VillageError as error:
        sys.stderr.write(f"{error}\nThe relay makes the loss instead.\n")
        return False
    return True


def _set_rate(port: str, rate_kbit: int) -> None:
    if not rate_kbit:
        tools.run("tc", "qdisc", "del", "dev", port, "root")
        return
    byte_rate = rate_kbit * 125
    burst = max(1_600, round(byte_rate * _TBF_BURST_S))
    queue = max(_TBF_LEAST_QUEUE_BYTES, round(byte_rate * _TBF_QUEUE_S))
    bucket = f"rate {rate_kbit}kbit burst {burst} limit {queue}"
    tools.run("tc", "qdisc", "replace", "dev", port, "root", "tbf", *bucket.split())


def _isolate(cable: Cable, *, on: bool) -> None:
    state = "on" if on else "off"
    batch = [f"link set {port} type bridge_slave isolated {state}\n" for port in _ports(cable)]
    tools.run("ip", "-batch", "-", stdin="".join(batch))


def _set_tso(interface: str, *, on: bool) -> None:
    """What `ethtool -K INTERFACE tso on|off` does (linux/ethtool.h: struct ethtool_value)."""
    value = ctypes.create_string_buffer(struct.pack("=II", _ETHTOOL_STSO, int(on)))
    request = struct.pack("@16sP", interface.encode(), ctypes.addressof(value))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        fcntl.ioctl(handle, _SIOCETHTOOL, request.ljust(40, b"\0"))
