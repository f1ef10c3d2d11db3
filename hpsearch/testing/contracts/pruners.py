"""What every pruner must promise."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hpsearch.core.objective import Objective
from hpsearch.pruning.base import FoldCurves, Pruner
from hpsearch.spec import PruningSection

MAXIMIZE = Objective("val_accuracy", "maximize")
MINIMIZE = Objective("val_loss", "minimize")

VALIDATION_RATIO = 1 / 4
"""Validation rows per training row of five folds."""


def make_curves(trial: int, *folds: Sequence[float], epochs: int = 20, complete: bool | None = None) -> FoldCurves:
    """Curves of a trial; it is complete once it has all its epochs, if not said otherwise."""
    done = len(folds[0]) == epochs if complete is None else complete
    return FoldCurves(trial, tuple(map(tuple, folds)), done, epochs)


def make_rising_curves(trial: int, top: float, n: int, *, epochs: int = 20, noise: float = 0.002) -> FoldCurves:
    """Five folds on their way to `top`, each a little off, after `n` epochs."""
    rng = random.Random(trial)
    offsets = [rng.gauss(0, noise) for _ in range(5)]
    folds = [[top + o - 0.3 * math.exp(-e / 1.5) + rng.gauss(0, noise) for e in range(1, n + 1)] for o in offsets]
    return make_curves(trial, *folds, epochs=epochs)


def mirror(one: FoldCurves) -> FoldCurves:
    """The same curves as losses."""
    return FoldCurves(one.trial, tuple(tuple(1 - v for v in fold) for fold in one.folds), one.complete, one.epochs)


FIELD = tuple(make_rising_curves(i, 0.96 + 0.001 * i, 20) for i in range(8))
"""Complete trials to compare with."""


@dataclass(frozen=True, slots=True)
class PrunerCase:
    """A pruner to check.

    Attributes:
        pruner: Its class.
        settings: Keys of ``[pruning]`` for all rules.
    """

    pruner: type[Pruner]
    settings: dict[str, object] = field(default_factory=dict)

    def build(self, objective: Objective = MAXIMIZE, **settings: object) -> Pruner:
        """A new pruner."""
        section = PruningSection.model_validate({**self.settings, **settings})
        return self.pruner.from_section(section, objective, validation_ratio=VALIDATION_RATIO)


def check_pruner(pruner: type[Pruner], **settings: object) -> None:
    """Check a pruner against all of :data:`PRUNER_RULES`.

    Args:
        pruner: The class that the entry point names.
        settings: Keys of ``[pruning]``, such as ``min_epochs=4``.

    Raises:
        AssertionError: A rule is broken; the text says which.
    """
    for rule in PRUNER_RULES:
        rule(PrunerCase(pruner, settings))


def reasons(rule: Pruner, top: float, others: Sequence[FoldCurves] = FIELD, *, flip: bool = False) -> list[str | None]:
    """What the pruner says after 1, 2, …, 19 of the 20 epochs of a trial on its way to `top`."""
    trials = [make_rising_curves(99, top, n) for n in range(1, 20)]
    if flip:
        trials, others = [mirror(one) for one in trials], [mirror(one) for one in others]
    return [rule.stop_reason(trial, others) for trial in trials]


def gives_one_line_as_its_reason(case: PrunerCase) -> None:
    """A reason is one line of text for the user; None means to go on."""
    for reason in reasons(case.build(), 0.5):
        fits = reason is None or (isinstance(reason, str) and reason.strip() and "\n" not in reason)
        assert fits, f"a reason must be one line or None, but got {reason!r}"


def depends_on_nothing_but_curves(case: PrunerCase) -> None:
    """Asked again, or by a new pruner, the answer is the same: a killed study goes on as if nothing had happened."""
    rule = case.build()
    answers = [reasons(rule, 0.5), reasons(rule, 0.5), reasons(case.build(), 0.5)]
    assert answers[0] == answers[1] == answers[2], "equal curves must give equal answers"


def waits_for_min_epochs(case: PrunerCase) -> None:
    """No trial is stopped before it has ``[pruning] min_epochs``."""
    for least in (1, 4, 7):
        early = [reason for reason in reasons(case.build(min_epochs=least), 0.3)[: least - 1] if reason]
        assert not early, f"min_epochs = {least} must hold, but a trial was stopped earlier: {early[0]!r}"


def never_stops_a_trial_that_is_done(case: PrunerCase) -> None:
    """A trial with all its epochs is complete, whatever its curves."""
    reason = case.build().stop_reason(make_rising_curves(99, 0.3, 20), FIELD)
    assert reason is None, f"a trial with all its epochs must not be stopped, but got {reason!r}"


def treats_losses_as_mirrored_scores(case: PrunerCase) -> None:
    """Minimising is maximising upside down."""
    for top in (0.5, 0.96, 0.99):
        up = [reason is None for reason in reasons(case.build(MAXIMIZE), top)]
        down = [reason is None for reason in reasons(case.build(MINIMIZE), top, flip=True)]
        assert up == down, f"minimize must mirror maximize, but for a trial that heads for {top} it does not"


def ignores_the_order_of_others(case: PrunerCase) -> None:
    """Other trials come in any order."""
    rule = case.build()
    same = reasons(rule, 0.962) == reasons(rule, 0.962, others=FIELD[::-1])
    assert same, "the order of other trials must not matter"


def bears_any_company(case: PrunerCase) -> None:
    """There may be no other trial, one fold only, values that are not finite, and trials of other lengths."""
    rule = case.build(startup_trials=1)
    odd = [
        make_curves(50, *[[math.nan] * 20] * 5),
        make_curves(51, *[[0.5, math.nan]] * 5),
        make_curves(52, [0.5, math.inf, 0.6], [0.5, -math.inf, 0.6], [0.5, math.nan, math.inf]),
        make_rising_curves(53, 0.9, 3, epochs=6),
    ]
    single = make_curves(98, [0.1] * 8)
    for trial in (*odd, single, make_rising_curves(99, 0.5, 8)):
        for others in ((), FIELD[:1], (*FIELD, *odd)):
            rule.stop_reason(trial, [one for one in others if one.trial != trial.trial])


PRUNER_RULES: tuple[Callable[[PrunerCase], None], ...] = (
    gives_one_line_as_its_reason,
    depends_on_nothing_but_curves,
    waits_for_min_epochs,
    never_stops_a_trial_that_is_done,
    treats_losses_as_mirrored_scores,
    ignores_the_order_of_others,
    bears_any_company,
)
"""All rules for pruners."""
