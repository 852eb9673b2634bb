"""Habits that hold for every file: length, docstrings, nothing unfinished, no machine's paths."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MIN_TABLE_LINES = 30
"""A literal at module level from this length on is a data table, such as a word list, not code."""

OWN_TREES = ("appliance", "tests", "scripts", "images", ".ci")
OWN_FILES = ("README.md", "CHANGELOG.md", "pyproject.toml", "requirements.lock")
UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
HOST_PATH = re.compile(r"(?<![\w.])(?:/home|/Users)/[a-z]\w*/|/root/\.|\bfile:" + r"///")


@dataclass(frozen=True)
class Facts:
    """What the tests ask of one Python file; its tree is large and not kept."""

    name: str
    text: str
    has_docstring: bool
    code_lines: int
    """Without its data tables."""
    long_functions: tuple[str, ...]
    """Those above the limit, with their place and length."""


@cache
def python_files() -> tuple[Facts, ...]:
    """Every Python file of ours."""
    paths = [path for tree in OWN_TREES for path in sorted((ROOT / tree).rglob("*.py"))]
    return tuple(facts(path) for path in paths)


def facts(path: Path) -> Facts:
    name, text = str(path.relative_to(ROOT)), path.read_text()
    tree = ast.parse(text)
    long = tuple(
        f"{name}:{node.lineno}: {node.name} has {function_lines(node)} lines"
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and function_lines(node) > MAX_FUNCTION_LINES
    )
    return Facts(name, text, bool(ast.get_docstring(tree)), code_lines(text, tree), long)


def text_files() -> Iterator[tuple[str, str]]:
    """Name and text of every text file of ours."""
    paths = [path for tree in OWN_TREES for path in sorted((ROOT / tree).rglob("*"))]
    for path in [*paths, *(ROOT / name for name in OWN_FILES)]:
        if path.is_file() and path.suffix != ".pyc":
            try:
                yield str(path.relative_to(ROOT)), path.read_text()
            except UnicodeDecodeError:
                continue


def lines_of(node: ast.AST) -> int:
    return (getattr(node, "end_lineno", None) or 0) - getattr(node, "lineno", 0) + 1


def is_literal(node: ast.expr | None) -> bool:
    try:
        ast.literal_eval(node if node is not None else "x y")
    except (ValueError, SyntaxError):
        return False
    return True


def code_lines(text: str, tree: ast.Module) -> int:
    """Lines of a file without its data tables."""
    values = [node for node in tree.body if isinstance(node, (ast.Assign, ast.AnnAssign))]
    long = [node for node in values if lines_of(node) >= MIN_TABLE_LINES]
    return len(text.splitlines()) - sum(lines_of(node) for node in long if is_literal(node.value))


def function_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    docstring = lines_of(node.body[0]) if ast.get_docstring(node) else 0
    return lines_of(node) - docstring


def test_files_and_functions_stay_short() -> None:
    found = []
    for file in python_files():
        if file.code_lines > MAX_FILE_LINES:
            found.append(f"{file.name}: {file.code_lines} lines")
        found += file.long_functions
    assert not found, "\n" + "\n".join(found)


def test_every_module_says_what_it_is() -> None:
    assert [file.name for file in python_files() if not file.has_docstring] == []


def test_nothing_is_left_unfinished() -> None:
    found = [name for name, text in text_files() if UNFINISHED.search(text)]
    assert found == []


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    # A checkout below one of these may well be meant in an image or a unit file.
    shared = ("/opt/", "/srv/", "/usr/")
    checkout = f"{ROOT}/"
    found = [
        name
        for name, text in text_files()
        if HOST_PATH.search(text) or (checkout in text and not checkout.startswith(shared))
    ]
    assert found == []


def test_nothing_waits_in_a_way_that_may_swallow_a_cancellation() -> None:
    """Python 3.11's `asyncio.wait_for` does when the result comes at the same moment (gh-86296).

    `asyncio.timeout` does not. What cannot be cancelled keeps the daemon from ending.
    """
    found = [
        file.name
        for file in python_files()
        if file.name.startswith("appliance/") and "asyncio.wait_for(" in file.text
    ]
    assert found == []
