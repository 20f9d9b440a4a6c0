"""What a client makes of a record, without the client."""

from oppertune.schemas import ConfigRecord
from oppertune.streams.client.active_request import ActiveRequest
from oppertune.streams.client.config_follower import FollowedRecord
from oppertune.streams.client.offer import Offer, offer_of
from oppertune.streams.client.parameters import Parameters
from oppertune.streams.client.recorder import Recorder
from oppertune.streams.client.view import View, view_of


def view_of_offer(offer: Offer, unit: str = "a") -> View:
    """The view of an offer, each of its requests new."""
    requests = {arm.terms.key: ActiveRequest(arm.terms, Recorder()) for arm in offer.arms if arm.terms is not None}
    return view_of(offer, unit, requests)


def seen(record: ConfigRecord, parameters: Parameters, unit: str = "a") -> View:
    """The view of a record whose lease holds."""
    return view_of_offer(offer_of(FollowedRecord("record", record, arms=True), parameters), unit)
