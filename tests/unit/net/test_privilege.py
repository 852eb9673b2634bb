"""What is left of root's privileges, in the process and in what it starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
NET_ADMIN = 1 << 12

# Gives up privileges and says what the process has and what a program that it starts has.
LOOK = """
import json, subprocess, sys
from appliance.net.privilege import SECURE_BITS, PrivilegeError, keep_net_admin
def look(text):
    return dict(line.split(":\\t") for line in text.splitlines())
try:
    keep_net_admin(*sys.argv[1:])
except PrivilegeError as error:
    sys.exit(str(error))
child = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True).stdout
own = open("/proc/self/status").read()
print(json.dumps([look(own), look(child), SECURE_BITS]))
"""


def run(prefix: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*prefix, sys.executable, "-c", LOOK, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


def looked(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    own, child, _ = json.loads(done.stdout)
    return [own, child]


def assert_net_admin_only(status: dict[str, Any]) -> None:
    for name in ("CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd"):
        assert int(status[name], 16) == NET_ADMIN, name
    assert status["NoNewPrivs"] == "1"


def test_root_of_a_namespace_keeps_one_capability_and_so_do_its_children() -> None:
    tried = subprocess.run(["unshare", "-Ur", "true"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip("this machine does not let us make namespaces")
    for status in looked(run(["unshare", "-Ur"])):
        assert_net_admin_only(status)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_becomes_a_user_without_groups() -> None:
    for status in looked(run([], "nobody")):
        assert_net_admin_only(status)
        assert set(status["Uid"].split()) == set(status["Gid"].split()) == {"65534"}
        assert status["Groups"].strip() == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_user_that_is_not_there_is_named() -> None:
    done = run([], "no-such-user")
    assert done.returncode != 0
    assert "There is no user no-such-user" in done.stderr


def test_without_the_capability_it_says_so() -> None:
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    if os.geteuid() == 0:
        drop += ["--reuid=65534", "--regid=65534", "--clear-groups"]
    done = run(drop)
    assert done.returncode != 0
    assert "CAP_NET_ADMIN" in done.stderr
    assert "Traceback" not in done.stderr
