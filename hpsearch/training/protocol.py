"""What can be asked of a worker, wherever it runs. Executors carry these calls; see :meth:`Executor.call`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hpsearch.core.asked import Asked
from hpsearch.core.facts import DataFacts, EnginePlan, MachineFacts
from hpsearch.core.measured import Measured
from hpsearch.core.rehearsed import Rehearsal
from hpsearch.core.space import Config, Parameter
from hpsearch.core.trial import Champion


@dataclass(frozen=True, slots=True)
class ToRefit:
    """A trial to train once more.

    Attributes:
        trial: Its number.
        config: Its hyperparameter values.
        epochs: Epochs to train.
        fold_epochs: Epochs to train a model of each fold, if they differ; empty for `epochs`.
        rates: The learning rate that the folds had in each epoch, their median; empty if no callback has set it.
        fold_rates: The same of each fold.
    """

    trial: int
    config: Config
    epochs: int
    fold_epochs: tuple[int, ...] = ()
    rates: tuple[float, ...] = ()
    fold_rates: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Exported:
    """One file of an export: its name, and what it is or why it is not there."""

    file: str
    remark: str


@dataclass(frozen=True, slots=True)
class RefitOrder:
    """What to make the champion of.

    Attributes:
        trials: The best trials, the best first: as many as ``[champion]`` needs, if there are so many.
        folder: Where the champion's files go; created if it is not there.
        crowned: Unix time at which the trial was chosen by hand; None for the search's winner.
    """

    trials: tuple[ToRefit, ...]
    folder: Path
    crowned: float | None = None


class WorkerProtocol(Protocol):
    """The calls that a worker answers. Training is no call: its events come one by one."""

    def describe_data(self) -> DataFacts:
        """Load the data and describe them. Imports no Keras unless the source needs it.

        Raises:
            DataError: The data are missing or unusable.
        """
        ...

    def discover_space(self) -> Mapping[str, Parameter]:
        """Hyperparameters that a KerasTuner model asks for, as far as some builds show; empty for other models.

        Raises:
            ModelError: The code fails with its own defaults, or does what folds cannot follow.
        """
        ...

    def find_build(self) -> None:
        """Import the build function. Needs no data.

        Raises:
            ModelError: It cannot be imported, or is no build function.
        """
        ...

    def asked(self, config: Config) -> Asked | None:
        """The hyperparameters that KerasTuner code uses with `config`; None for families and plain functions.

        Raises:
            ModelError: The code does what folds cannot follow.
        """
        ...

    def rehearse(self, config: Config) -> Rehearsal:
        """Build the model once and evaluate it on a few rows, so that mistakes show before anything is written.

        Raises:
            ModelError: The model cannot be built, evaluated, saved or loaded, or shares state with the next one.
        """
        ...

    def plan(self) -> EnginePlan:
        """How the study's engine wants its bundles."""
        ...

    def measure(self, configs: Sequence[Config]) -> Measured:
        """Compile some configs and train them for a moment, on few rows, to see what the study will cost.

        Raises:
            ModelError: One of them cannot be trained.
        """
        ...

    def describe_machine(self) -> MachineFacts:
        """Versions, backend and device."""
        ...

    def refit(self, order: RefitOrder) -> Champion:
        """Train the champion as ``[champion]`` says, test it once, and save it.

        Writes ``champion.keras`` (or ``champion.weights.h5``, where Keras cannot load the model by its config),
        ``champion.json`` (what it is and which inputs it takes) and ``predictions.npz`` (of
        the test rows), each as a whole or not at all.

        Raises:
            ModelError: Training fails or diverges, or the model cannot be saved.
            LedgerError: The folder cannot be written.
        """
        ...

    def refit_model(self, order: RefitOrder) -> Path:
        """Train the first trial on all development rows, as the champion of kind ``refit`` is, and save the model.

        Returns:
            The file: ``champion.keras`` or ``champion.weights.h5`` in the folder.

        Raises:
            ModelError: Training fails or diverges, or the model cannot be saved.
            LedgerError: The folder cannot be written.
        """
        ...

    def write_mlflow_model(self, champion: Champion, folder: Path) -> Champion:
        """Write a champion's model in MLflow's format too, for one that was saved without.

        Args:
            champion: Its ``.keras`` file must be there.
            folder: The study's folder.

        Returns:
            The champion with ``mlflow_model`` set.

        Raises:
            ModelError: The file needs code that the build module no longer has.
            LedgerError: The folder cannot be written.
        """
        ...

    def export_model(self, champion: Champion, folder: Path, data: DataFacts) -> tuple[Exported, ...]:
        """Write a champion as SavedModel, ONNX and LiteRT. Needs the TensorFlow backend.

        Returns:
            What was written, or why not; see :class:`Exported`.

        Raises:
            ModelError: The file needs code that the build module no longer has.
        """
        ...
