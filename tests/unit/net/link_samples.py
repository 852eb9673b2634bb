"""An interface as the kernel describes it, for tests to vary."""

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
