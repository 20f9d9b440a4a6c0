"""What an event says of one metric, whatever shape it has, as a summary."""

from ...core.summary import Summary
from ...schemas.events import MeasuredSummary, Measurement


def summary_of(measurement: Measurement) -> Summary:
    """A measurement, several, or their summary, as a summary; it may share its histogram with the event."""
    if isinstance(measurement, MeasuredSummary):
        return Summary(
            count=measurement.count,
            total=[measurement.sum],
            squares=[measurement.sum_sq],
            low=measurement.min,
            high=measurement.max,
            bins=measurement.bins,
            negative=measurement.negative,
            zeros=measurement.zeros,
        )
    summary = Summary()
    for number in [measurement] if isinstance(measurement, float) else measurement:
        summary.add(number)
    return summary
