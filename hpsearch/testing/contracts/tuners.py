"""What every tuner must promise."""

from collections.abc import Callable
from dataclasses import dataclass

from hpsearch.core.space import Choice, Config, Constant, Float, Int, Space, config_key
from hpsearch.core.trial import Trial, TrialState
from hpsearch.testing.contracts.simulation import FINITE, LATE, MIXED, SMALL, Suggest, simulate
from hpsearch.tuners.base import Tuner, TunerProvider, TunerSettings


@dataclass(frozen=True, slots=True)
class TunerCase:
    """A tuner to check.

    Attributes:
        make: Makes it from its settings.
        slow: Whether a suggestion may cost a second. Such tuners make fewer suggestions, in a smaller space.
    """

    make: Callable[[TunerSettings], Tuner]
    slow: bool = False

    def build(self, space: Space, *, seed: int = 7, direction: str = "minimize", startup_trials: int = 4) -> Tuner:
        """A new tuner."""
        return self.make(TunerSettings(space, direction, seed, startup_trials, grid_points=3))

    def asks(self, many: int, few: int) -> int:
        """How many suggestions to ask for."""
        return few if self.slow else many

    @property
    def space(self) -> Space:
        """A space with a condition."""
        return SMALL if self.slow else MIXED


def check_tuner(provider: type[TunerProvider], algorithm: str, *, slow: bool = False) -> None:
    """Check one algorithm against all of :data:`TUNER_RULES`.

    Args:
        provider: The class that the entry point names.
        algorithm: One of its algorithms.
        slow: Whether a suggestion may cost a second.

    Raises:
        AssertionError: A rule is broken; the text says which.
    """
    assert algorithm in provider.algorithms, f"algorithms must list {algorithm!r}, but has {provider.algorithms}"
    case = TunerCase(lambda settings: provider().make(algorithm, settings), slow)
    for rule in TUNER_RULES:
        rule(case)


def suggests_allowed_values(case: TunerCase) -> None:
    """Values are of the space and of plain types; names come in the order of the space."""
    tuner = case.build(MIXED)
    for config in simulate(tuner.suggest, case.asks(40, 6)):
        assert config is not None, "an infinite space is never used up, but None was suggested"
        assert MIXED.contains(config), f"a config must be of the space, but got {config}"
        expected = [name for name in MIXED if name in config]
        assert list(config) == expected, f"names must be in the order of the space, but got {list(config)}"
        assert type(config["rate"]) is float, f"a Float's value must be a float, but got {config['rate']!r}"
        assert type(config["units"]) is int, f"an Int's value must be an int, but got {config['units']!r}"
        steps = MIXED["dropout"].values() or ()
        assert config["dropout"] in steps, f"a stepped value must be exact, but got {config['dropout']!r}"
        options = MIXED["optimizer"].values() or ()
        given = config["optimizer"]
        assert any(given is option for option in options), f"an option must keep its type, but got {given!r}"


def suggests_the_same_when_rebuilt(case: TunerCase) -> None:
    """A tuner that is made anew for every suggestion suggests what one that is kept does: it has no memory."""
    for space in (case.space, FINITE):
        count = case.asks(40, 8)
        kept = simulate(case.build(space).suggest, count, LATE)
        rebuilt = simulate(_rebuilding(case, space), count, LATE)
        assert kept == rebuilt, f"a rebuilt tuner must suggest the same, but {_first_difference(kept, rebuilt)}"


def repeats_itself_with_one_seed(case: TunerCase) -> None:
    """Equal settings and equal results give equal suggestions."""
    count = case.asks(8, 4)
    first, second = (simulate(case.build(MIXED, seed=0).suggest, count) for _ in range(2))
    assert first == second, f"one seed must give one sequence, but {_first_difference(first, second)}"


def tries_a_finite_space_completely(case: TunerCase) -> None:
    """Every config of a finite space comes once, also while other trials are running; then None."""
    for delays in ((0,), (2, 0, 5)):
        suggested = simulate(case.build(FINITE).suggest, 20, delays)
        assert suggested[-1] is None, "a space that was tried completely must end in None"
        configs = [config_key(config) for config in suggested if config is not None]
        assert len(configs) == len(set(configs)), "a finite space must not be tried twice"
        wanted = {config_key(config) for config in FINITE.grid(2)}
        assert set(configs) == wanted, f"{len(wanted)} configs must be tried, but {len(configs)} were"


def follows_another_history(case: TunerCase) -> None:
    """A kept tuner may be asked about a history that does not continue the last one."""
    tuner, space = case.build(case.space), case.space
    first = simulate(tuner.suggest, 4)
    other = simulate(case.build(space, seed=8).suggest, 4)
    for suggested in (other, first, first[:2]):
        configs = [config for config in suggested if config is not None]
        history = [_complete(number, config, 1.0 / (number + 1)) for number, config in enumerate(configs)]
        kept, fresh = tuner.suggest(history), case.build(space).suggest(history)
        assert kept == fresh, f"only the history given counts, but a kept tuner suggests {kept}, a new one {fresh}"


def bears_configs_from_elsewhere(case: TunerCase) -> None:
    """The history may hold configs that are not of the space: studies are extended with other study files."""
    (own,) = simulate(case.build(MIXED).suggest, 1)
    assert own is not None, "an infinite space is never used up, but None was suggested"
    foreign: list[Config] = [{"rate": 0.5}, {}, {**own, "epochs": 30}]
    config = case.build(MIXED).suggest([_complete(number, one, 1.0) for number, one in enumerate(foreign)])
    assert config is not None
    assert MIXED.contains(config), f"a config must be of the space, but got {config}"


def goes_on_without_any_score(case: TunerCase) -> None:
    """All trials so far have diverged or failed."""
    tuner = case.build(case.space)
    history: list[Trial] = []
    for number in range(6):
        config = tuner.suggest(history)
        assert config is not None, "an infinite space is never used up, but None was suggested"
        assert case.space.contains(config), f"a config must be of the space, but got {config}"
        again = tuner.suggest(history)
        assert config == again, f"asked again, a tuner must answer the same, but got {config}, then {again}"
        history.append(Trial(number, config, TrialState.FAILED if number % 3 == 1 else TrialState.DIVERGED))


def ends_after_the_only_config(case: TunerCase) -> None:
    """A space without anything to search has one config."""
    space = Space({"epochs": Constant(20), "optimizer": Choice(("sgd",)), "width": Int(3, 3)})
    suggested = simulate(case.build(space).suggest, 3)
    wanted = [{"epochs": 20, "optimizer": "sgd", "width": 3}, None]
    assert suggested == wanted, f"{wanted} must be suggested, but got {suggested}"


def repeats_no_choices(case: TunerCase) -> None:
    """A space of choices is finite; options that are equal in Python, such as 1 and True, are different options."""
    space = Space({"a": Choice(("u", "v", "w")), "b": Choice((1, 2, 3)), "c": Choice((False, True, 0, 1))})
    suggested = simulate(case.build(space, direction="maximize").suggest, case.asks(36, 6))
    distinct = {config_key(config) for config in suggested if config is not None}
    assert len(distinct) == len(suggested), f"{len(suggested)} suggestions must differ, but {len(distinct)} do"


def repeats_nothing_of_a_finite_part(case: TunerCase) -> None:
    """A config without its conditional range is suggested once."""
    space = Space({"a": Choice(("one", "many")), "x": Float(0.0, 1.0, when={"a": ("many",)})})
    suggested = [one for one in simulate(case.build(space).suggest, case.asks(15, 6)) if one is not None]
    distinct = {config_key(config) for config in suggested}
    assert len(distinct) == len(suggested), f"{len(suggested)} suggestions must differ, but {len(distinct)} do"


TUNER_RULES: tuple[Callable[[TunerCase], None], ...] = (
    suggests_allowed_values,
    suggests_the_same_when_rebuilt,
    repeats_itself_with_one_seed,
    tries_a_finite_space_completely,
    follows_another_history,
    bears_configs_from_elsewhere,
    goes_on_without_any_score,
    ends_after_the_only_config,
    repeats_no_choices,
    repeats_nothing_of_a_finite_part,
)
"""All rules for tuners."""


def _rebuilding(case: TunerCase, space: Space) -> Suggest:
    return lambda history: case.build(space).suggest(history)


def _complete(number: int, config: Config, score: float) -> Trial:
    return Trial(number, config, TrialState.COMPLETE, score=score, epoch=1)


def _first_difference(a: list[Config | None], b: list[Config | None]) -> str:
    number = next((i for i, pair in enumerate(zip(a, b, strict=False)) if pair[0] != pair[1]), min(len(a), len(b)))
    return f"trial {number} is {a[number : number + 1]}, then {b[number : number + 1]}"
