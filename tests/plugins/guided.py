"""The technical summary's extension guide followed to the letter: its class as printed, and its blanks filled in."""

from pathlib import Path

GUIDE = Path(__file__).parents[1] / "data" / "snippets" / "implementing-new-algorithms.txt"  # as text: no formatter

names = {}
exec(GUIDE.read_text(), names)  # noqa: S102 - the guide under test
YourCustomAlgorithm = names["YourCustomAlgorithm"]


class Halving(YourCustomAlgorithm):
    """Halves what is declared with every reward, and sums the rewards up."""

    class Meta(YourCustomAlgorithm.Meta):
        pass

    def _initialize_algorithm_state(self):
        self.total = 0.0
        self.seen = []

    def _your_prediction_logic(self, current_params, context):
        return {name: value * 0.5 ** len(self.seen) for name, value in current_params.items()}

    def _update_algorithm_state(self, reward):
        self.total += reward
        self.seen.append(reward)
