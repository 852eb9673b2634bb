"""The operator's settings of the network: what is read, and what is refused with which words."""

from pathlib import Path

import pytest

from appliance.net.config import MAX_BYTES, ConfigError, NetConfig, load_config, parse_config


def test_everything_that_can_be_set() -> None:
    config = parse_config(
        'exclude = ["eth1", "wl*"]\ncountry = "DE"\n[rate_kbit]\neth0 = 2000\n"eth0.5" = 64\n'
    )
    assert config == NetConfig(("eth1", "wl*"), "DE", {"eth0": 2000, "eth0.5": 64})
    assert [config.excludes(name) for name in ("eth1", "wlan0", "eth10")] == [True, True, False]


def test_nothing_needs_to_be_set(tmp_path: Path) -> None:
    assert parse_config("") == load_config(tmp_path / "absent.toml") == NetConfig()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("exclude = [", "not TOML"),
        ('exlude = ["eth1"]', "no setting 'exlude'"),
        ('exclude = "eth1"', "a list of interfaces"),
        ("exclude = [1]", "1 is no name"),
        ('exclude = [""]', "'' is no name"),
        (f'exclude = ["{"x" * 65}"]', "is no name"),
        ("exclude = [" + '"a",' * 257 + "]", "a list of interfaces"),
        ('country = "de"', "two capital letters"),
        ("country = 49", "two capital letters"),
        ("rate_kbit = 2000", "a table"),
        ("[rate_kbit]\neth0 = 7", "a whole number from 8"),
        ("[rate_kbit]\neth0 = 2.5", "a whole number"),
        ("[rate_kbit]\neth0 = true", "a whole number"),
        ('[rate_kbit]\n"a b" = 64', "no name of an interface"),
        ("[rate_kbit]\na.b = 64", "a takes a whole number"),
    ],
)
def test_what_is_wrong_is_named(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        parse_config(text)


def test_a_file_that_cannot_be_read_is_no_file_without_settings(tmp_path: Path) -> None:
    path = tmp_path / "net.toml"
    for data, why in (
        (b"\xff", "not text"),
        (b"#" * (MAX_BYTES + 1), "larger than"),
        (b"x = 1", "net.toml: There is no setting 'x'"),
    ):
        path.write_bytes(data)
        with pytest.raises(ConfigError, match=why):
            load_config(path)
    with pytest.raises(ConfigError, match="can't be read: Is a directory"):
        load_config(tmp_path)
