"""What an app declares, where it is more than names and numbers: switches."""

import pytest

from oppertune.core.values import Categorical
from oppertune.streams.client import OfflineClient
from oppertune.streams.client.parameters import Parameters
from oppertune.streams.client.resolve import resolve_arm, resolve_each


def test_an_app_that_declares_a_truth_value_reads_truth_values():
    """Strings would be a trap: ``if tuned["compression"]`` holds for "off", too."""
    own = Parameters({"compression": True, "batch": 500})
    off, on = (resolve_arm(own, {"compression": word, "batch": 1}, {}) for word in ("off", "on"))
    assert (off["compression"], on["compression"]) == (False, True)
    assert (type(off["compression"]), type(off["batch"])) == (bool, int)


def test_a_word_that_is_no_switchs_is_refused_in_an_arm_and_defaulted_in_an_incumbent():
    own = Parameters({"compression": True})
    with pytest.raises(ValueError, match="compression='of course' is not legal"):
        resolve_arm(own, {"compression": "of course"}, {})
    defaulted = resolve_each(own, {"compression": "of course"})
    assert defaulted.values == {"compression": True}
    assert len(defaulted.problems) == 1


def test_a_switch_in_a_list_is_the_category_that_records_have():
    own = Parameters([Categorical.switch("compression", val=True)])
    assert own.declared == {"compression": "on"}
    assert resolve_arm(own, {"compression": "off"}, {}) == {"compression": "off"}


def test_a_switch_is_set_offline_in_the_apps_words_and_in_those_of_records():
    with OfflineClient("shop", {"compression": True}) as client:
        for word, read in (("off", False), (True, True), (False, False), ("on", True)):
            client.set(compression=word)
            assert client["compression"] is read
