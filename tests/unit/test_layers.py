"""Which layer of the source may import which, and what stays out of the layers without IO.

The table is the one of the architecture (`appliance/README.md`). A new package or top-level module
fails here until it has its row. Lengths, docstrings and the like are in `test_source.py`.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "appliance"

LAYERS: dict[str, tuple[str, ...]] = {
    "model": (),
    "protocol": ("model",),
    "node": ("model", "protocol"),
    "adapters": ("model", "protocol", "node.ports"),
    "daemon": ("model", "protocol", "node", "adapters", "net", "media", "api", "village"),
    "net": ("model", "protocol", "adapters"),
    "media": ("model", "protocol", "adapters"),
    "api": ("model",),
    "tui": (
        "model",
        "api.client",
        "api.schema",
        "api.storage",
        "api.attachments",
        "api.groups",
        "api.recordings",
        "api.talking",
        "api.conferences",
        "api.errors",
    ),
    "web": (
        "model",
        "api.client",
        "api.schema",
        "api.storage",
        "api.attachments",
        "api.groups",
        "api.recordings",
        "api.talking",
        "api.conferences",
        "api.errors",
    ),
    "village": ("adapters",),
    "cli": ("",),
    "commands": ("",),
    "__main__": ("cli",),
    "__init__": (),
}
"""What each layer may import of ours, besides itself and the version; "" is everything."""

CORES: dict[str, frozenset[str]] = {
    "model": frozenset({"cryptography", "cbor2"}),
    "protocol": frozenset({"cryptography", "cbor2", "sipmessage"}),
    "node": frozenset(),
}
"""The layers without input, output and clock, and the libraries without them that each may use."""

IMPURE_MODULES = frozenset(
    "asyncio concurrent fcntl http multiprocessing os sched select selectors shutil signal socket"
    " socketserver sqlite3 ssl subprocess tempfile threading time urllib".split()
)
IMPURE_BUILTINS = frozenset({"open", "print", "input", "exec", "eval", "breakpoint"})
CLOCK_READERS = frozenset({"now", "utcnow", "today"})
"""Methods of date and datetime that read the machine's clock."""


def imported_names(tree: ast.AST, path: Path) -> Iterator[tuple[str, int]]:
    """Every imported name in full, with its line; relative imports resolved."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*start, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{module}.{alias.name}", node.lineno


def is_within(name: str, module: str) -> bool:
    return module == "" or name == module or name.startswith(f"{module}.")


def import_faults(layer: str, name: str) -> Iterator[str]:
    """Why a layer may not import a name, if so."""
    top = name.partition(".")[0]
    if top == "appliance":
        inner = name.removeprefix("appliance").lstrip(".")
        allowed = (*LAYERS[layer], layer, "__version__")
        if inner and not any(is_within(inner, module) for module in allowed):
            yield f"{layer} may not import {name}"
    elif layer in CORES:
        if top in IMPURE_MODULES:
            yield f"{layer} has no input, output or clock, so no {name}"
        elif top not in sys.stdlib_module_names and top not in CORES[layer]:
            yield f"{layer} may not use the library {name}"
        elif top == "random" and name not in ("random", "random.Random"):
            yield f"{layer} is handed its randomness, so no {name}"


def impure_uses(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Uses of global randomness, of the clock, and of builtins that read or write."""
    modules = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value)
            # An argument may well be called `random`; the module is meant where it was imported.
            if owner == "random" and owner in modules and node.attr != "Random":
                yield f"random.{node.attr}", node.lineno
            if owner.rpartition(".")[2] in ("date", "datetime") and node.attr in CLOCK_READERS:
                yield f"{owner}.{node.attr}", node.lineno
        # An argument may be called `input`; calling it is another thing.
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in IMPURE_BUILTINS:
            yield ast.unparse(node.func), node.lineno


def faults(source: str, path: Path) -> list[str]:
    """What is wrong with a source file at that path, as `path:line: why`."""
    layer = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    where = path.relative_to(ROOT)
    if layer not in LAYERS:
        return [f"{where}: {layer} has no row in the table of layers"]
    tree = ast.parse(source)
    found = [
        f"{where}:{line}: {why}"
        for name, line in imported_names(tree, path)
        for why in import_faults(layer, name)
    ]
    if layer in CORES:
        found += [f"{where}:{line}: {layer} may not use {use}" for use, line in impure_uses(tree)]
    return found


def test_layers_import_only_what_is_below_them() -> None:
    found = [
        fault for path in sorted(PACKAGE.rglob("*.py")) for fault in faults(path.read_text(), path)
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("model/a.py", "import asyncio"),
        ("model/a.py", "from os import urandom"),
        ("model/a.py", "import aiohttp"),
        ("model/a.py", "from ..protocol import rtp"),
        ("model/a.py", "from random import randint"),
        ("model/a.py", "import random\nx = random.random()"),
        ("model/a.py", "from datetime import datetime\nx = datetime.now()"),
        ("model/a.py", "import datetime\nx = datetime.datetime.utcnow()"),
        ("protocol/a.py", "import appliance.node.ports"),
        ("protocol/a.py", "x = open('y')"),
        ("node/a.py", "def f():\n    from time import monotonic"),
        ("node/deep/a.py", "from ... import adapters"),
        ("adapters/a.py", "from appliance.node import mailbox"),
        ("tui/a.py", "from appliance.api import server"),
        ("tui/a.py", "import appliance.daemon"),
        ("api/a.py", "from appliance import cli"),
        ("surprise.py", ""),
        ("surprise/a.py", ""),
    ],
)
def test_a_breach_is_found(path: str, source: str) -> None:
    assert len(faults(source, PACKAGE / path)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("model/a.py", "import enum, secrets\nfrom cryptography import x509\nfrom . import b"),
        ("protocol/a.py", "from random import Random\ndef f(random: Random): random.random()"),
        ("node/a.py", "from appliance.protocol.rtp import Packet\nfrom ..model import record"),
        ("adapters/a.py", "import asyncio\nfrom appliance.node.ports import Store"),
        ("tui/a.py", "from appliance import __version__\nfrom appliance.api.client import Client"),
        ("media/a.py", "import appliance"),
        ("cli.py", "import appliance.daemon.main, appliance.village"),
    ],
)
def test_what_is_allowed_passes(path: str, source: str) -> None:
    assert faults(source, PACKAGE / path) == []
