"""eth0 as the kernel describes it, and as the daemon is told of it, for tests to vary."""

from appliance.model.net import LinkKind, NetLink
from appliance.net.netlink import Interface

ETH0 = Interface(
    name="eth0",
    index=2,
    up=True,
    carrier=True,
    loopback=False,
    ethernet=True,
    kind="",
    master=0,
    mtu=1500,
    mac=bytes.fromhex("02fc00000001"),
    ipv6=True,
    gen_mode=0,
    carrier_ups=1,
    addresses=(),
)

TOLD_ETH0 = NetLink("eth0", 2, LinkKind.ETHERNET, True, "", True, 1500, 4000, None, "")
