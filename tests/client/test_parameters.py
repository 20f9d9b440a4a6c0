"""What an app declares, where it is more than names and numbers: switches."""

from oppertune.core.values import Categorical
from oppertune.schemas.configs import Arm
from oppertune.schemas.keys import values_hash
from oppertune.streams.client import OfflineClient
from oppertune.streams.client.parameters import Parameters
from oppertune.streams.client.resolve import effective_hash, resolve_arm, resolve_each


def arm(**values: object) -> Arm:
    hashed = values_hash(values)
    return Arm(arm="candidate", request_id="r", round=1, kind="explore", values=values, hash=hashed, share=1.0)


def test_an_app_that_declares_a_truth_value_reads_truth_values():
    """Strings would be a trap: ``if tuned["compression"]`` holds for "off", too."""
    own = Parameters({"compression": True, "batch": 500})
    off, on = (resolve_arm(own, {"compression": word, "batch": 1}).values for word in ("off", "on"))
    assert (off["compression"], on["compression"]) == (False, True)
    assert (type(off["compression"]), type(off["batch"])) == (bool, int)


def test_a_switch_is_credited_by_the_hash_of_what_was_published():
    own, asked = Parameters({"compression": True}), arm(compression="off")
    assert effective_hash(asked, resolve_arm(own, asked.values)) == asked.hash
    wrong = arm(compression="of course")
    defaulted = resolve_each(own, wrong.values)
    assert defaulted.values == {"compression": True}
    assert effective_hash(wrong, defaulted) != wrong.hash


def test_a_switch_in_a_list_is_the_category_that_records_have():
    own = Parameters([Categorical.switch("compression", val=True)])
    assert own.declared == {"compression": "on"}
    assert resolve_arm(own, {"compression": "off"}).values == {"compression": "off"}


def test_a_switch_is_set_offline_in_the_apps_words_and_in_those_of_records():
    with OfflineClient("shop", {"compression": True}) as client:
        for word, read in (("off", False), (True, True), (False, False), ("on", True)):
            client.set(compression=word)
            assert client["compression"] is read
