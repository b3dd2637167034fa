"""Gradient descent: the examples in, the best averaged network by validation out."""

import logging
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import cross_entropy

from consumers.imaging.inputs import InputSpec, normalise
from consumers.imaging.networks import Network
from training.augmentation import augment
from training.datasets import Examples
from training.measures import area_under_curve
from training.recipe import Recipe

log = logging.getLogger(__name__)

#: Films of the training part whose activations give BatchNorm its statistics.
STATISTICS_FILMS = 768
EVALUATION_BATCH = 32

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Fitted:
    """The best network of a fit, and where it came from."""

    network: Network
    epoch: int
    validation_auc: float
    history: tuple[dict[str, float], ...]
    seconds: float


def batch_of(images: NDArray[np.uint8], spec: InputSpec) -> torch.Tensor:
    """Normalise uint8 [N, H, W] as serving does, in the memory order that CPUs and GPUs like."""
    tensor = torch.from_numpy(np.stack([normalise(image, spec) for image in images]))
    return tensor.contiguous(memory_format=torch.channels_last)


def infer(network: Network, images: NDArray[np.uint8], spec: InputSpec) -> tuple[NDArray[np.float32], ...]:
    """Return logits and projection of uint8 [N, H, W] images of the network's size."""
    network.eval()
    starts = range(0, len(images), EVALUATION_BATCH)
    with torch.inference_mode():
        answers = [network(batch_of(images[start : start + EVALUATION_BATCH], spec))[:2] for start in starts]
    return tuple(torch.cat(part).float().numpy() for part in zip(*answers, strict=True))


def recompute_statistics(network: Network, images: NDArray[np.uint8], spec: InputSpec) -> None:
    """Set BatchNorm's running statistics to the plain mean over the images' batches.

    Averaged weights never saw a forward pass of their own, and a slow momentum keeps ImageNet's statistics for
    thousands of steps: either way the network looks useless until this is done.
    """
    norms = [layer for layer in network.modules() if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d))]
    network.eval()  # dropout would widen what the layers behind it see
    for layer in norms:
        layer.reset_running_stats()
        layer.momentum = None
        layer.train()
    with torch.no_grad():
        for start in range(0, len(images), EVALUATION_BATCH):
            network.classifier(network.features(batch_of(images[start : start + EVALUATION_BATCH], spec)))
    for layer in norms:
        layer.momentum = 0.1
    network.eval()


class WeightAverage:
    """An exponential running mean of a network's weights: a flatter, better optimum at no cost."""

    def __init__(self, network: Network, decay: float) -> None:
        self.network = deepcopy(network)
        self._decay = decay
        self._steps = 0

    def update(self, network: Network) -> None:
        """Move towards the network's present weights; early steps weigh more, so the start is forgotten soon."""
        self._steps += 1
        decay = min(self._decay, self._steps / (self._steps + 10))
        with torch.no_grad():
            for mean, now in zip(self.network.parameters(), network.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)


class Fit:
    """One fit. The clock and the seed come from outside; nothing is written."""

    def __init__(self, network: Network, train: Examples, spec: InputSpec, recipe: Recipe, clock: Clock) -> None:
        self._network = network
        self._train = train
        self._spec = spec
        self._recipe = recipe
        self._clock = clock
        self._random = np.random.default_rng(recipe.seed)
        self._started = clock()
        self._average = WeightAverage(network, recipe.average_decay)
        self._optimiser = torch.optim.AdamW(network.parameters(), weight_decay=recipe.weight_decay)
        counts = np.bincount(train.labels)
        self._class_weights = torch.from_numpy((counts.sum() / (len(counts) * counts)).astype(np.float32))
        steps = -(-len(train) // recipe.batch)
        self._costs = [self._size(epoch) ** 2 * steps for epoch in range(recipe.epochs)]
        self._done = 0.0

    def run(self, validation: Examples) -> Fitted:
        """Fit until the epochs or the minutes are used up, or validation has not gained for `patience` epochs."""
        best: Fitted | None = None
        history: list[dict[str, float]] = []
        recompute_statistics(self._network, self._statistics_films(), self._spec)
        for epoch in range(self._recipe.epochs):
            loss = self._epoch(epoch)
            candidate = self._average.network
            recompute_statistics(candidate, self._statistics_films(), self._spec)
            logits, _ = infer(candidate, validation.images, self._spec)
            auc = area_under_curve(logits[:, 1] - logits[:, 0], validation.labels)
            elapsed = self._clock() - self._started
            history.append({"epoch": epoch + 1, "loss": loss, "validation_auc": auc, "seconds": round(elapsed, 1)})
            log.info("epoch %d: loss %.4f, validation AUC %.4f, %.0f s", epoch + 1, loss, auc, elapsed)
            if best is None or auc >= best.validation_auc:
                best = Fitted(deepcopy(candidate), epoch + 1, auc, (), elapsed)
            if epoch + 1 - best.epoch >= self._recipe.patience or self._progress() >= 1:
                break
        if best is None:
            raise ValueError("a fit needs at least one epoch")
        return Fitted(best.network, best.epoch, best.validation_auc, tuple(history), self._clock() - self._started)

    def _epoch(self, epoch: int) -> float:
        """Go through the training part once; returns the mean loss."""
        self._network.train()
        losses = []
        size = self._size(epoch)
        for indices in self._batches():
            rate = self._recipe.learning_rate_at(self._progress())
            for group in self._optimiser.param_groups:
                group["lr"] = rate
            images = [augment(self._train.images[i], size, self._random, self._recipe.strength) for i in indices]
            logits, *_ = self._network(batch_of(np.stack(images), self._spec))
            labels = torch.from_numpy(self._train.labels[indices])
            smoothing = self._recipe.label_smoothing
            loss = cross_entropy(logits, labels, weight=self._class_weights, label_smoothing=smoothing)
            self._optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
            self._optimiser.step()
            self._average.update(self._network)
            self._done += size**2
            losses.append(float(loss.detach()))
            if self._progress() >= 1:
                break
        return float(np.mean(losses))

    def _batches(self) -> Iterator[NDArray[np.int64]]:
        """Shuffle; a last batch of one would break BatchNorm, so the rest joins the batch before it."""
        order = self._random.permutation(len(self._train))
        yield from np.array_split(order, max(1, round(len(order) / self._recipe.batch)))

    def _statistics_films(self) -> NDArray[np.uint8]:
        chosen = self._random.permutation(len(self._train))[:STATISTICS_FILMS]
        images: NDArray[np.uint8] = self._train.images[chosen]
        return images

    def _size(self, epoch: int) -> int:
        full = self._spec.height
        return min(self._recipe.small_size, full) if epoch < self._recipe.small_epochs else full

    def _progress(self) -> float:
        """Share of the fit that is done, by work or by time, whichever is further."""
        by_time = (self._clock() - self._started) / (self._recipe.minutes * 60)
        return min(1.0, max(self._done / sum(self._costs), by_time))
