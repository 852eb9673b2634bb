"""Which blobs are to be here, by all that needs them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from appliance.model.attachment import travelling_size
from appliance.model.cargo import Tier
from appliance.model.identity import StationId, StationKey
from appliance.model.record import Precedence
from appliance.node.attached import STRANGERS_EACH, STRANGERS_SHARE, Attached
from appliance.node.carried_blobs import MAX_SIZE
from appliance.node.ports.attaching import BlobUse

ME, ANN, BOB = (StationKey.from_bytes(bytes([n]) * 32).id for n in (1, 2, 3))
EACH, TOTAL = 10_000_000, 40_000_000
ROOT = b"r" * 32


def rules() -> Attached:
    return Attached(ME, each=EACH, total=TOTAL)


def use(
    size: int = 1000,
    *,
    mine: bool = True,
    wished: bool = False,
    author: StationId = ANN,
    tier: Tier = Tier.NEW,
    came_from: StationId | None = None,
) -> BlobUse:
    return BlobUse(size, b"i" * 32, mine, wished, author, tier, Precedence.ROUTINE, came_from, 0.0)


def test_what_is_mine_is_sought_at_its_author_and_whoever_brought_it() -> None:
    verdict = rules().judge(ROOT, [use(tier=Tier.KNOWN, came_from=BOB)], None)
    assert verdict.want is not None
    assert verdict.want.mine
    assert verdict.want.sources == (BOB, ANN)
    assert verdict.messages == (b"i" * 32,)


def test_what_is_our_own_is_kept_and_sought_when_it_is_lost() -> None:
    verdict = rules().judge(ROOT, [use(tier=Tier.OWN, author=ME)], 1000)
    assert verdict.needed
    assert verdict.want is not None
    assert verdict.want.sources == ()


def test_nobody_gets_more_than_the_operator_allows() -> None:
    size = travelling_size(EACH, sealed=True)
    for one in (use(size + 1, wished=True), use(size + 1, tier=Tier.VERIFIED)):
        verdict = rules().judge(ROOT, [one], None)
        assert (verdict.want, verdict.needed) == (None, True)
    assert rules().judge(ROOT, [use(size, tier=Tier.VERIFIED)], None).want is not None


def test_strangers_large_files_wait_for_a_wish() -> None:
    size = travelling_size(STRANGERS_EACH, sealed=True) + 1
    assert rules().judge(ROOT, [use(size)], None).want is None
    assert rules().judge(ROOT, [use(size, wished=True)], None).want is not None
    assert rules().judge(ROOT, [use(size), use(size, tier=Tier.KNOWN)], None).want is not None


def test_what_is_only_carried_is_small_and_goes_when_nothing_names_it() -> None:
    all_of_it = rules()
    carried = use(MAX_SIZE, mine=False, came_from=BOB)
    verdict = all_of_it.judge(ROOT, [carried], None)
    assert verdict.want is not None
    assert not verdict.want.mine
    assert all_of_it.roots() == {ROOT}
    assert not rules().judge(ROOT, [replace(carried, size=MAX_SIZE + 1)], None).needed
    assert not all_of_it.judge(ROOT, [], MAX_SIZE).needed
    assert all_of_it.roots() == set()


def test_the_size_that_is_here_proves_the_others_wrong() -> None:
    uses = [use(5, tier=Tier.VERIFIED), use(1000)]
    verdict = rules().judge(ROOT, uses, 1000)
    assert verdict.want is not None
    assert verdict.want.size == 1000
    assert not rules().judge(ROOT, uses, 7).needed


def test_a_stranger_gets_no_more_room_by_naming_a_small_size_first() -> None:
    all_of_it = rules()
    assert all_of_it.judge(ROOT, [use(1)], None).want is not None
    # The record that said so has expired, and another names the same.
    assert all_of_it.judge(ROOT, [use(EACH)], None).want is None
    share = int(STRANGERS_SHARE * TOTAL)
    for number in range(20):
        root = bytes([number]) * 32
        all_of_it.judge(root, [use(1)], None)
        all_of_it.judge(root, [use(STRANGERS_EACH)], None)
    assert all_of_it._of_strangers <= share
    assert len(all_of_it.roots()) == share // STRANGERS_EACH


def test_what_only_strangers_name_is_told_from_the_rest() -> None:
    for one, trusted in (
        (use(), False),
        (use(wished=True), True),
        (use(tier=Tier.KNOWN), True),
        (use(mine=False, came_from=BOB), False),
    ):
        want = rules().judge(ROOT, [one], None).want
        assert want is not None
        assert want.trusted is trusted


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 1_100_000), st.booleans())))
def test_strangers_together_stay_below_their_share(
    steps: list[tuple[int, int, bool]],
) -> None:
    all_of_it = rules()
    here: dict[bytes, int] = {}
    for number, size, gone in steps:
        root = bytes([number]) * 32
        if gone:
            all_of_it.unused(root)
            here.pop(root, None)
            continue
        size = here.setdefault(root, size)
        if all_of_it.judge(root, [use(size)], None).want is None:
            del here[root]
    assert sum(here.values()) <= STRANGERS_SHARE * TOTAL
    assert all_of_it.roots() == set(here)
