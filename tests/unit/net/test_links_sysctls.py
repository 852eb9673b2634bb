"""Forwarding is switched on and off without changing what interfaces are."""

from pathlib import Path

import pytest

from appliance.net.sysctls import Sysctls
from appliance.net.undo import Undo

BEFORE = {
    "all": (0, 1),
    "default": (0, 1),
    "eth0": (0, 1),
    "eth1": (1, 2),
    "eth2": (0, 0),
    "eth9": (0, 1),
}
"""Forwarding and accept_ra."""


class Kernel:
    """A directory in place of /proc/sys/net/ipv6/conf."""

    def __init__(self, conf: Path) -> None:
        self.conf = conf
        for where, values in BEFORE.items():
            (conf / where).mkdir(parents=True)
            self.put(where, *values)

    def put(self, where: str, forwarding: int, accept_ra: int) -> None:
        (self.conf / where / "forwarding").write_text(f"{forwarding}\n")
        (self.conf / where / "accept_ra").write_text(f"{accept_ra}\n")

    def values(self) -> dict[str, tuple[int, ...]]:
        return {
            where: tuple(
                int((self.conf / where / key).read_text()) for key in ("forwarding", "accept_ra")
            )
            for where in BEFORE
        }


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path / "conf")


@pytest.fixture
def sysctls(kernel: Kernel, undo: Undo, monkeypatch: pytest.MonkeyPatch) -> Sysctls:
    """Writing `all.forwarding` writes it everywhere, as the kernel does."""
    names = sorted(BEFORE)
    monkeypatch.setattr("socket.if_nametoindex", lambda name: names.index(name) + 1)
    monkeypatch.setattr("socket.if_indextoname", lambda index: names[index - 1])
    real = Sysctls._write

    def write(self: Sysctls, where: str, key: str, value: int) -> None:
        if (where, key) == ("all", "forwarding"):
            ras = [ra for _, ra in kernel.values().values()]
            assert value == 0 or ras.count(1) == 1, "a default route would be lost"
            for path in kernel.conf.glob("*/forwarding"):
                path.write_text(f"{value}\n")
        real(self, where, key, value)

    monkeypatch.setattr(Sysctls, "_write", write)
    return Sysctls(undo, conf=kernel.conf)


async def test_only_all_forwards_and_advertisements_stay_heard(
    kernel: Kernel, undo: Undo, sysctls: Sysctls
) -> None:
    sysctls.forwarding_on(leave_alone=lambda name: name == "eth9")
    assert sysctls.forwarding
    assert kernel.values() == {
        "all": (1, 1),
        "default": (0, 2),
        "eth0": (0, 2),
        "eth1": (1, 2),
        "eth2": (0, 0),
        "eth9": (0, 1),
    }
    await undo.undo_all()
    assert kernel.values() == BEFORE
    assert undo.changes == ()


async def test_what_others_changed_meanwhile_stays(
    kernel: Kernel, undo: Undo, sysctls: Sysctls
) -> None:
    sysctls.forwarding_on(leave_alone=lambda _: False)
    kernel.put("eth0", 1, 0)
    await undo.undo_all()
    assert kernel.values() == {**BEFORE, "eth0": (1, 0)}

    sysctls.forwarding_on(leave_alone=lambda _: False)
    kernel.put("all", 0, 1)
    kernel.put("eth2", 1, 0)
    await undo.undo_all()
    assert kernel.values() == {**BEFORE, "eth0": (1, 0), "eth2": (1, 0)}


async def test_a_value_goes_back_once(kernel: Kernel, undo: Undo, sysctls: Sysctls) -> None:
    assert sysctls.set("eth0", "accept_ra", 1) is None
    assert sysctls.set("absent", "accept_ra", 1) is None
    assert sysctls.get("absent", "accept_ra") is None
    sysctls.set("eth0", "accept_ra", 0)
    sysctls.set("eth0", "accept_ra", 2)
    await undo.undo_all()
    assert kernel.values() == BEFORE


def test_where_forwarding_may_not_be_changed_nothing_is_begun(kernel: Kernel, undo: Undo) -> None:
    switch = kernel.conf / "all" / "forwarding"
    switch.unlink()
    switch.mkdir()
    with pytest.raises(OSError, match="directory"):
        Sysctls(undo, conf=kernel.conf).forwarding_on(leave_alone=lambda _: False)
    assert undo.changes == ()
    assert (kernel.conf / "eth0" / "accept_ra").read_text() == "1\n"
