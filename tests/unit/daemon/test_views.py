"""What clients are told in words."""

from appliance.daemon.views import SOUND_WORDS
from appliance.model.media import SoundProblem


def test_every_problem_of_a_call_has_words_and_something_to_do() -> None:
    assert SOUND_WORDS.keys() == set(SoundProblem)
    for text, fix in SOUND_WORDS.values():
        assert text.endswith(".")
        assert fix.endswith(".")
