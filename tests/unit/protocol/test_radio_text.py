"""Reading what iw prints: captures of radios, and what somebody might make of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.protocol.wifi import iw_text
from appliance.protocol.wifi.choice import usable_channels
from appliance.protocol.wifi.iw_text import Cell, Domain, Phy
from appliance.protocol.wifi.tables import CELL, Band, Mode

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "iw"

MESH, IBSS = Mode.MESH, Mode.IBSS


def vector(name: str) -> str:
    return (VECTORS / f"{name}.txt").read_text(encoding="utf-8")


def radio(name: str) -> Phy:
    found = iw_text.phy(vector(name))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "modes", "low", "high"),
    [
        ("ath9k_htc-ar9271", {MESH, IBSS}, 6, None),
        ("mt76x2u-mt7612u", {MESH, IBSS}, 6, 36),
        ("rt2800usb-rt5572", {MESH, IBSS}, 6, 36),
        ("rtl8192ce", {MESH, IBSS}, 6, None),
        ("brcmfmac-pi3b", {IBSS}, 6, None),
        ("brcmfmac-pi3bplus", {IBSS}, 6, 36),
        ("brcmfmac-pi4", {IBSS}, 6, 36),
        ("iwlwifi-7265", {IBSS}, 6, None),
        ("rtl8812au-vendor", {IBSS}, 6, 36),
        ("mt7601u", set(), 6, None),
        ("hwsim-phy-00", {MESH, IBSS}, 6, None),
    ],
)
def test_what_radios_can_do(name: str, modes: set[Mode], low: int, high: int | None) -> None:
    """What stands under frame types, commands and combinations is not what a radio can do."""
    found = radio(name)
    assert found.modes == modes
    channels = usable_channels(found, None)
    assert channels[Band.LOW].number == low
    assert channels[Band.HIGH].number == high if high else Band.HIGH not in channels
    assert found.ht


def test_channels_that_are_for_indoors_only_are_left_out() -> None:
    domains = iw_text.domains(vector("hwsim-reg-de"))
    assert domains[None].country == "DE"
    assert (5150, 5250) in domains[None].indoor
    channels = usable_channels(radio("mt76x2u-mt7612u"), domains[None])
    assert channels[Band.HIGH].number == 149


def test_a_radio_with_rules_of_its_own() -> None:
    assert iw_text.domains(vector("brcmfmac-pi3bplus-reg")) == {
        None: Domain("DE", ((5150, 5250), (5250, 5350))),
        0: Domain("99", ()),
    }


def test_old_words_for_channels() -> None:
    old = "Wiphy phy0\nBand 1:\n* 2437 MHz [6] (20.0 dBm) (passive scanning, no IBSS)\n"
    found = iw_text.phy(old)
    assert found is not None
    assert not found.frequencies[0].usable


def test_interfaces() -> None:
    found = iw_text.interfaces(vector("hwsim-dev"))
    assert [(one.phy, one.name, one.kind) for one in found] == [
        (8, "wlan2", "managed"),
        (7, "wlan1", "managed"),
        (6, "wlan0", "managed"),
    ]
    (mesh,) = (one for one in iw_text.interfaces(vector("hwsim-dev-mesh")) if one.frequency_mhz)
    assert (mesh.kind, mesh.frequency_mhz) == (iw_text.MESH_POINT, 2437)
    (ibss,) = iw_text.interfaces(vector("hwsim-dev-ibss"))
    assert (ibss.kind, ibss.ssid, ibss.frequency_mhz) == (iw_text.IBSS, "fencewire", 2437)
    assert ibss.address == "02:00:00:00:01:00"


def test_a_p2p_device_is_an_interface_without_a_name() -> None:
    text = "phy#0\n\tUnnamed/non-netdev interface\n\t\twdev 0x2\n\t\ttype P2P-device\n"
    (found,) = iw_text.interfaces(text)
    assert (found.phy, found.name, found.kind) == (0, "", "P2P-device")


def test_link() -> None:
    assert iw_text.link(vector("hwsim-link-ibss")) == CELL
    assert iw_text.link("Not connected.\n") == ""


def test_cells_of_both_kinds() -> None:
    mesh, ibss = iw_text.cells(vector("hwsim-scan-both"))
    assert mesh == Cell("02:00:00:00:00:00", MESH, "fencewire", 2437, 100, False, 0)
    assert ibss == Cell(CELL, IBSS, "fencewire", 2437, 100, False, 0)


def test_alone_in_a_cell_or_not() -> None:
    (alone,) = (one for one in iw_text.cells(vector("hwsim-scan-ibss-alone")) if one.joined)
    assert alone.seen_ms > 5000
    (two,) = (one for one in iw_text.cells(vector("hwsim-scan-ibss-two")) if one.joined)
    assert two.seen_ms < 100


ACCESS_POINT = """\
BSS 00:3a:99:2b:59:b0(on wlan0)
\tfreq: 2437
\tbeacon interval: 100 TUs
\tcapability: ESS (0x0401)
\tlast seen: 20 ms ago
\tSSID: {ssid}
\tMESH ID:
"""


def test_a_network_name_makes_nothing_of_itself() -> None:
    text = ACCESS_POINT.format(ssid=r"x\x0aBSS 02:00:00:00:00:09(on wlan0)")
    assert len(iw_text.cells(text)) == 1
    (found,) = iw_text.cells(ACCESS_POINT.replace("\tMESH ID:\n", "").format(ssid="fencewire"))
    assert found.mode is None


@pytest.mark.parametrize("name", sorted(path.stem for path in VECTORS.glob("*.txt")))
def test_whatever_is_cut_or_broken_is_read_somehow(name: str) -> None:
    text = vector(name)
    readers = (iw_text.phy, iw_text.interfaces, iw_text.link, iw_text.cells, iw_text.domains)
    for cut in range(0, len(text), len(text) // 20 + 1):
        for broken in (text[cut:], text[:cut], text[:cut] + "\0\n\t * ()" + text[cut:]):
            for reader in readers:
                reader(broken)


def test_answers_without_end_are_bounded() -> None:
    assert len(iw_text.cells(ACCESS_POINT * 5000)) <= iw_text.MAX_ITEMS
    assert len(iw_text.interfaces("phy#0\nInterface wlan0\n" * 5000)) <= iw_text.MAX_ITEMS
    rules = "\t(5150 - 5250 @ 80), (N/A, 20), (N/A), NO-OUTDOOR\n"
    found = iw_text.domains("global\ncountry DE: DFS-ETSI\n" + rules * 5000)
    assert len(found[None].indoor) <= iw_text.MAX_ITEMS
