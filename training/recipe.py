"""How a fit is run: every number of it in one value, which the manifest records."""

from dataclasses import dataclass, field
from math import cos, pi

from training.augmentation import Strength


@dataclass(frozen=True, slots=True)
class Recipe:
    """The numbers of one fit. The same recipe, data and seed give the same network unless the time limit cuts in."""

    epochs: int = 11
    small_epochs: int = 7  # the first epochs run at `small_size` pixels, at two fifths of the cost
    small_size: int = 160
    batch: int = 32
    learning_rate: float = 1.2e-3
    warm_up_share: float = 0.08
    weight_decay: float = 0.02
    label_smoothing: float = 0.05
    average_decay: float = 0.99  # of the running mean of the weights, a step
    patience: int = 4  # epochs without a better validation AUC
    minutes: float = 25.0  # the schedule is squeezed to end by then
    threads: int = 1
    seed: int = 20_261_121
    recall_wanted: float = 0.985  # on validation, at the operating threshold
    strength: Strength = field(default_factory=Strength)

    def learning_rate_at(self, progress: float) -> float:
        """Warm up linearly, then fall along a half cosine; `progress` is the share of the fit that is done.

        >>> Recipe(learning_rate=1.0, warm_up_share=0.5).learning_rate_at(0.25)
        0.5
        >>> round(Recipe(learning_rate=1.0).learning_rate_at(1.0), 6)
        0.0
        """
        if progress < self.warm_up_share:
            return self.learning_rate * progress / self.warm_up_share
        rest = (progress - self.warm_up_share) / (1 - self.warm_up_share)
        return self.learning_rate * 0.5 * (1 + cos(pi * min(rest, 1.0)))
