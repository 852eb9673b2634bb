"""Reading what iw prints: recorded, described, and what somebody might make of it."""

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


DESCRIBED = """\
Wiphy phy0
\tSupported interface modes:
\t\t * managed
{modes}\tBand 1:
\t\tCapabilities: 0x17e
\t\t\tHT20/HT40
\t\tFrequencies:
\t\t\t* 2412 MHz [1] (20.0 dBm)
\t\t\t* 2437 MHz [6] (20.0 dBm)
\t\t\t* 2484 MHz [14] (disabled)
{high}\tSupported commands:
\t\t * join_ibss
\t\t * join_mesh
\tsoftware interface modes (can always be added):
\t\t * monitor
\tinterface combinations are not supported
\tDevice supports HT-IBSS.
\tSupported TX frame types:
\t\t * IBSS: 0x00 0x10
\t\t * mesh point: 0x00 0x10
"""
"""In iw's form, with the traps of real ones: words of modes stand under commands and frames too."""

HIGH = """\
\tBand 2:
\t\tCapabilities: 0x17e
\t\tFrequencies:
\t\t\t* 5180 MHz [36] (20.0 dBm)
\t\t\t* 5260 MHz [52] (20.0 dBm) (no IR, radar detection)
\t\t\t* 5745 MHz [149] (20.0 dBm)
"""

WORDS = {MESH: "\t\t * mesh point\n", IBSS: "\t\t * IBSS\n"}


def described(modes: set[Mode], *, high: bool) -> str:
    """A radio as `iw list` would show it."""
    return DESCRIBED.format(
        modes="".join(WORDS[mode] for mode in sorted(modes, key=lambda mode: mode.value)),
        high=HIGH if high else "",
    )


def radio(text: str) -> Phy:
    found = iw_text.phy(text)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "modes", "low", "high"),
    [
        (described({MESH, IBSS}, high=False), {MESH, IBSS}, 6, None),  # such as AR9271
        (described({MESH, IBSS}, high=True), {MESH, IBSS}, 6, 36),  # such as MT7612U
        (described({IBSS}, high=True), {IBSS}, 6, 36),  # such as a Raspberry Pi's own
        (described(set(), high=False), set(), 6, None),  # such as MT7601U
        (vector("hwsim-phy-00"), {MESH, IBSS}, 6, None),
    ],
    ids=["ath9k_htc", "mt76x2u", "brcmfmac", "mt7601u", "hwsim"],
)
def test_what_radios_can_do(text: str, modes: set[Mode], low: int, high: int | None) -> None:
    """What stands under frame types, commands and combinations is not what a radio can do."""
    found = radio(text)
    assert found.modes == modes
    channels = usable_channels(found, None)
    assert channels[Band.LOW].number == low
    assert channels[Band.HIGH].number == high if high else Band.HIGH not in channels
    assert found.ht


def test_channels_that_are_for_indoors_only_are_left_out() -> None:
    domains = iw_text.domains(vector("hwsim-reg-de"))
    assert domains[None].country == "DE"
    assert (5150, 5250) in domains[None].indoor
    channels = usable_channels(radio(described({MESH}, high=True)), domains[None])
    assert channels[Band.HIGH].number == 149


OWN_RULES = """\
global
country DE: DFS-ETSI
\t(2400 - 2483 @ 40), (N/A, 20), (N/A)
\t(5150 - 5250 @ 80), (N/A, 23), (N/A), NO-OUTDOOR, AUTO-BW
\t(5250 - 5350 @ 80), (N/A, 20), (0 ms), NO-OUTDOOR, DFS, AUTO-BW

phy#0
country 99: DFS-UNSET
\t(2402 - 2482 @ 40), (6, 20), (N/A)
\t(5140 - 5360 @ 160), (6, 20), (N/A)
"""


def test_a_radio_with_rules_of_its_own() -> None:
    assert iw_text.domains(OWN_RULES) == {
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
