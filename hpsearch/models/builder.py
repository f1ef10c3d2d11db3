"""From a study file's ``[model]`` to compiled Keras models."""

from collections.abc import Callable
from dataclasses import dataclass

import keras

from hpsearch.data.dataset import TrainingData
from hpsearch.errors import ModelError
from hpsearch.imports import load_object
from hpsearch.models.registry import FAMILIES
from hpsearch.models.seeding import seed_everything
from hpsearch.models.training import compile_model
from hpsearch.space import Config, Parameter
from hpsearch.spec import StudySpec

Build = Callable[[Config, TrainingData], keras.Model]


@dataclass(frozen=True, slots=True)
class ModelBuilder:
    """Builds the models of one study.

    Attributes:
        address: ``module:function`` of the build function, for messages.
        function: The build function itself.
    """

    address: str
    function: Build

    @classmethod
    def of(cls, spec: StudySpec) -> "ModelBuilder":
        """The builder that a study file asks for.

        Raises:
            ModelError: The build function cannot be imported.
        """
        address = FAMILIES[spec.model.family].build if spec.model.family else str(spec.model.build)
        return cls(address, load_object(address, spec.folder, ModelError))  # type: ignore[arg-type]

    def build(self, config: Config, data: TrainingData, *, seed: int) -> keras.Model:
        """A compiled model; its initial weights depend on config, data shapes and `seed` only.

        Raises:
            ModelError: The build function fails or returns something else than a Keras model.
        """
        seed_everything(seed)
        model = self.function(config, data)
        if not model.compiled:
            compile_model(model, config, data)
        return model

    def discover(self, data: TrainingData) -> dict[str, Parameter]:
        """Hyperparameters that the model declares itself (KerasTuner code); empty for families."""
        return {}
