"""Plans of villages and settings of links: the parts that are only computed."""

import pytest

from appliance.village.errors import VillageError
from appliance.village.settings import LinkSettings, parse_change
from appliance.village.topology import parse_topology, station_name


@pytest.mark.parametrize(
    ("text", "stations", "joins"),
    [
        ("pair", "ab", "ab"),
        ("line:1", "a", ""),
        ("line:4", "abcd", "ab bc cd"),
        ("ring:4", "abcd", "ab bc cd ad"),
        ("star:4", "abcd", "ab ac ad"),
        ("grid:3x2", "abcdef", "ab ad bc be cf de ef"),
        ("cables:2-3,3-1,lan-4,2-lan,4-3", "abcd", "bc ac dlan blan cd"),
    ],
)
def test_topologies_have_the_cables_that_their_names_say(
    text: str, stations: str, joins: str
) -> None:
    plan = parse_topology(text)
    assert "".join(plan.stations) == stations
    assert ["".join(cable.ends) for cable in plan.cables] == joins.split()


def test_a_lan_is_one_network_and_a_cable_each() -> None:
    plan = parse_topology("lan:30")
    assert {cable.a.ipv4.rpartition(".")[0] for cable in plan.cables} == {"10.0.1"}
    assert plan.cable("lan", "s27") is plan.cable("27", "lan") is plan.cables[26]
    with pytest.raises(VillageError, match="share one network"):
        plan.cable("a", "b")


def test_a_shared_network_is_apart_from_the_cables_beside_it() -> None:
    plan = parse_topology("cables:1-2,lan-2,2-3,lan-3")
    networks = [cable.a.ipv4.rpartition(".")[0] for cable in plan.cables]
    assert networks == ["10.0.1", "10.0.2", "10.0.3", "10.0.2"]
    assert plan.cable("b", "lan").a.interface == "eth1"
    with pytest.raises(VillageError, match="No link between a and c"):
        plan.cable("a", "c")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("cables:", "'' is not a cable"),
        ("cables:1-2,2", "'2' is not a cable"),
        ("cables:1-2-3", "'1-2-3' is not a cable"),
        ("cables:a-b", "'a-b' is not a cable"),
        ("cables:1-1", "joins nothing"),
        ("cables:lan-lan", "joins nothing"),
        ("cables:0-1", "joins nothing"),
        ("cables:1-2,2-1", "2-1 is there twice"),
        ("cables:1-2,4-2", "no cable goes to 3"),
        ("cables:1-251", "at most 250"),
    ],
)
def test_cables_that_make_no_village_are_named(text: str, why: str) -> None:
    with pytest.raises(VillageError, match=why):
        parse_topology(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "pair:2", "line", "line:0", "line:-1", "line:9999999", "line:٣", "Line:3", "ring:2"),
        *(
            "grid:3",
            "grid:0x4",
            "grid:16x16",
            "lan:251",
            "lan:3x3",
            "village",
            "cables",
            "cables:3x3",
        ),
    ],
)
def test_what_is_no_village_is_an_error(text: str) -> None:
    with pytest.raises(VillageError):
        parse_topology(text)


def test_addresses_are_different_and_follow_the_cables() -> None:
    plan = parse_topology("grid:15x16")
    plugs = [plug for name in plan.stations for plug in plan.plugs(name)]
    assert len(plugs) == 2 * len(plan.cables)
    assert len({plug.ipv4 for plug in plugs}) == len({plug.mac for plug in plugs}) == len(plugs)
    middle = plan.plugs(station_name(17))
    assert [plug.interface for plug in middle] == ["eth0", "eth1", "eth2", "eth3"]
    for cable in plan.cables:
        assert cable.b is not None
        assert cable.a.ipv4.rpartition(".")[0] == cable.b.ipv4.rpartition(".")[0]


def test_a_station_is_found_by_name_and_number() -> None:
    plan = parse_topology("line:28")
    assert [plan.resolve(name) for name in ("a", "1", "s28", "28")] == ["a", "a", "s28", "s28"]
    for name in ("0", "29", "s29", "lan", "", "²"):
        with pytest.raises(VillageError, match="No station"):
            plan.resolve(name)


def test_settings_are_read_from_words_and_keep_what_is_not_named() -> None:
    settings = LinkSettings().changed(parse_change(["loss=2.5%", "delay=40ms", "rate=512"]))
    assert settings == LinkSettings(loss_pct=2.5, delay_ms=40, rate_kbit=512)
    assert str(settings) == "up loss=2.5% delay=40ms rate=512kbit"
    assert settings.changed(parse_change(["down", "loss=0"])) == LinkSettings(
        up=False, delay_ms=40, rate_kbit=512
    )


@pytest.mark.parametrize(
    "word",
    ["loss", "loss=", "loss=101", "loss=-1", "loss=nan", "delay=1e9", "rate=1", "rate=inf", "off"],
)
def test_what_is_no_setting_is_an_error(word: str) -> None:
    with pytest.raises(VillageError):
        parse_change([word])
