"""The program iw: what is said where it does not do what it was asked."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from appliance.net import iw as module
from appliance.net.iw import Iw, IwError, NoIwError


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bytes, bytes] | OSError]:
    """What iw will say, to be put here, or why it won't."""
    made: list[tuple[int, bytes, bytes] | OSError] = []

    async def run(words: Sequence[str], *, within_s: float) -> tuple[int, bytes, bytes]:
        assert words[0] == "iw"
        answer = made.pop()
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(module, "run", run)
    return made


async def test_what_it_says_is_returned_without_its_complaints(
    answers: list[tuple[int, bytes, bytes] | OSError],
) -> None:
    answers.append((0, b"phy#0\n", b"a warning\n"))
    assert await Iw().interfaces() == "phy#0\n"


@pytest.mark.parametrize(
    ("answer", "kind", "why"),
    [
        (FileNotFoundError(2, "No such file"), NoIwError, "iw is not installed"),
        (PermissionError(13, "Permission denied"), IwError, "iw does not start: Permission denied"),
        (TimeoutError(), IwError, "no answer within 10 s"),
        (
            (237, b"", b"command failed: Device or resource busy (-16)\n"),
            IwError,
            "Device or resource busy",
        ),
        ((1, b"Usage:\tiw\n", b""), IwError, "Usage:\tiw"),
        ((1, b"", b""), IwError, "no reason given"),
    ],
)
async def test_why_it_did_not_do_it(
    answers: list[tuple[int, bytes, bytes] | OSError],
    answer: tuple[int, bytes, bytes] | OSError,
    kind: type[IwError],
    why: str,
) -> None:
    answers.append(answer)
    with pytest.raises(IwError) as caught:
        await Iw().interfaces()
    assert (type(caught.value), str(caught.value)) == (kind, why)
