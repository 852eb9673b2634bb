"""What a machine gets from its host besides the image: the root shell and the checkout.

Both are systemd units that arrive as credentials through QEMU's fw_cfg (systemd.system-credentials
(7)), so the image needs nothing for them. fw_cfg's names end after 55 characters, which leaves
one for a unit's name and no room for a drop-in of any target: `-.slice`, which every boot starts,
pulls the units in.
"""

from __future__ import annotations

from pathlib import Path

from images.vm.settings import Settings

CREDENTIALS = "opt/io.systemd.credentials/systemd."
AGENT = "opt/fencewire.agent"
AGENT_SOURCE = Path(__file__).with_name("agent.py")
MAX_NAME_CHARS = 55

SHELL_UNIT = "s.service"
CHECKOUT_UNIT = "c.service"

SHELL = f"""\
[Unit]
Description=Root shell for tests
DefaultDependencies=no
[Service]
ExecStart=/usr/bin/python3 -IS /sys/firmware/qemu_fw_cfg/by_name/{AGENT}/raw
OOMScoreAdjust=-1000
StandardOutput=journal
"""

CHECKOUT = "/run/checkout"
PACKAGES = "/run/checkout-packages"
INSTALLED = "/usr/lib/fencewire"

IN_CHECKOUT = (
    f"cd {CHECKOUT} && export PYTHONPATH={CHECKOUT}:{INSTALLED}:{PACKAGES}"
    " PYTEST_ADDOPTS='-p no:cacheprovider' && "
)
"""Before a line of bash that is to run in the checkout, with all Python packages."""

_MOUNT_9P = "/usr/bin/mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=262144,cache=loose"


def checkout_unit(*, with_packages: bool) -> str:
    """A unit that puts the checkout in place before the services start."""
    lower, upper, work = (f"/run/checkout-{part}" for part in ("lower", "upper", "work"))
    layers = f"lowerdir={lower},upperdir={upper},workdir={work}"
    shared = f"{CHECKOUT} {INSTALLED}/appliance"
    commands = [
        "/usr/sbin/modprobe -a 9pnet_virtio 9p overlay",
        f"/usr/bin/mkdir -p {shared} {lower} {upper} {work} {PACKAGES}",
        f"{_MOUNT_9P} checkout {lower}",
        f"/usr/bin/mount -t overlay -o {layers} checkout {CHECKOUT}",
        f"/usr/bin/mount --bind {CHECKOUT}/appliance {INSTALLED}/appliance",
    ]
    if with_packages:
        commands.append(f"{_MOUNT_9P} packages {PACKAGES}")
    return "\n".join(
        [
            "[Unit]",
            "Description=The checkout in place of the installed program",
            "DefaultDependencies=no",
            "Before=sysinit.target",
            "[Service]",
            "Type=oneshot",
            "RemainAfterExit=yes",
            *(f"ExecStart={command}" for command in commands),
            "",
        ]
    )


def firmware_files(settings: Settings, directory: Path) -> dict[str, Path]:
    """Write what goes through fw_cfg into a directory; return its names there."""
    units = {}
    if settings.shell:
        units[SHELL_UNIT] = SHELL
    if settings.checkout is not None:
        units[CHECKOUT_UNIT] = checkout_unit(with_packages=settings.packages is not None)
    if not units:
        return {}
    files = {AGENT: AGENT_SOURCE}
    texts = {f"extra-unit.{name}": text for name, text in units.items()}
    texts["unit-dropin.-.slice"] = f"[Unit]\nWants={' '.join(units)}\n"
    for name, text in texts.items():
        files[CREDENTIALS + name] = directory / f"credential-{name}"
        files[CREDENTIALS + name].write_text(text)
    assert all(len(name) <= MAX_NAME_CHARS for name in files)
    return files
