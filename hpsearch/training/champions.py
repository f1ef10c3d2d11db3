"""The kinds of champion: one model on all development rows, or the mean of the fold models or of the best trials."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.core.hyperparameters import shuffle_of
from hpsearch.core.seeds import derive
from hpsearch.core.trial import Curves
from hpsearch.training.engines.fit import release, train_whole
from hpsearch.training.engines.loop import order_of
from hpsearch.training.problem import Problem
from hpsearch.training.protocol import ToRefit

if TYPE_CHECKING:
    import keras

_Trained = tuple["keras.Model", Curves]


@dataclass(frozen=True, slots=True)
class Contender:
    """A model that may become the champion.

    Attributes:
        model: Compiled. That of the kind ``refit`` can train on, the others are frozen.
        curves: Of its training.
        trials: Numbers of the trials that it is made of.
        models: How many models it is the mean of.
    """

    model: "keras.Model"
    curves: Curves
    trials: tuple[int, ...]
    models: int


class Contenders:
    """Trains the kinds of a study. A model that several kinds need is trained once.

    A mean freezes its models: take ``refit`` first if several kinds are wanted.

    Args:
        problem: The study's data and model.
        trials: The best trials, the best first.
    """

    def __init__(self, problem: Problem, trials: tuple[ToRefit, ...]) -> None:
        self._problem = problem
        self._trials = trials

    def make(self, kind: str) -> Contender:
        """Train what is not trained yet.

        Args:
            kind: ``refit``, ``folds`` or ``top-5``, of ``[champion]``.

        Raises:
            ModelError: A model cannot be built, training diverges, or there can be no mean of these models.
        """
        best = self._trials[0].trial
        if kind == "folds":
            folds = [self._of_fold(fold) for fold in range(len(self._problem.folds))]
            return self._mean({f"fold_{n}": one for n, one in enumerate(folds)}, _mean_curves(folds), (best,))
        if kind == "refit":
            return Contender(*self._refitted, (best,), 1)
        top = self._trials[: int(kind.removeprefix("top-"))]
        models = {f"trial_{best}": self._refitted} | {f"trial_{one.trial}": self._on_all(one) for one in top[1:]}
        return self._mean(models, self._refitted[1], tuple(one.trial for one in top))

    @cached_property
    def _refitted(self) -> _Trained:
        seed, best = derive(self._problem.spec.seed, "refit"), self._trials[0]
        order = order_of(seed, shuffle=shuffle_of(best.config))
        weights = derive(seed, "weights")
        rows = self._problem.dataset.train
        return train_whole(
            self._problem,
            rows,
            best.config,
            epochs=best.epochs,
            weights=weights,
            order=order,
            rates=best.rates,
        )

    def _on_all(self, one: ToRefit) -> _Trained:
        seed = derive(self._problem.spec.seed, "refit", one.trial)
        order = order_of(seed, shuffle=shuffle_of(one.config))
        weights = derive(seed, "weights")
        rows = self._problem.dataset.train
        release()
        return train_whole(
            self._problem, rows, one.config, epochs=one.epochs, weights=weights, order=order, rates=one.rates
        )

    def _of_fold(self, fold: int) -> _Trained:
        """As in the search: the same rows, initial weights and orders."""
        seed, best = self._problem.spec.seed, self._trials[0]
        order = order_of(seed, best.trial, fold, shuffle=shuffle_of(best.config))
        weights = derive(seed, "weights", best.trial, fold)
        rows, _ = self._problem.fold_parts(fold)
        release()
        return train_whole(
            self._problem,
            rows,
            best.config,
            epochs=best.fold_epochs[fold] if best.fold_epochs else best.epochs,
            weights=weights,
            order=order,
            rates=best.fold_rates[fold] if best.fold_rates else (),
        )

    def _mean(self, trained: dict[str, _Trained], curves: Curves, trials: tuple[int, ...]) -> Contender:
        from hpsearch.models.mean import mean_of

        if len(trained) == 1:  # so few trials are complete
            return Contender(*self._refitted, trials, 1)
        train, seed = self._problem.dataset.train, self._problem.spec.seed
        like = self._problem.build(self._trials[0].config, train, seed=derive(seed, "mean"))
        few = train.take(np.arange(min(len(train), 8)))
        models = {name: model for name, (model, _) in trained.items()}
        return Contender(mean_of(models, like, few.x), curves, trials, len(models))


def _mean_curves(trained: list[_Trained]) -> Curves:
    curves = [one for _, one in trained]
    shared = [name for name in curves[0] if all(name in one for one in curves)]
    epochs = min(len(one[name]) for one in curves for name in shared)  # folds may have ended at different ones
    return {name: tuple(np.mean([one[name][:epochs] for one in curves], axis=0).tolist()) for name in shared}
