"""The sums of a partition: a fold whose accounts do not balance is never written."""

import pytest

from oppertune.core.errors import AccountsDoNotBalance
from oppertune.streams.processor import isolation
from world import running


def test_a_record_that_got_no_disposition_stops_the_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    world = running()
    world.measured()
    monkeypatch.setattr(isolation.IsolatedTuner, "_take_all", lambda *_: None)  # a fault of ours: it is forgotten
    with pytest.raises(AccountsDoNotBalance, match="metrics-0: began at 0, counted 0, applied to 1"):
        world.fold()
