"""A model family: its name, its default space, and where its build function is. Importing this imports no Keras."""

from hpsearch.core.space import Choice, Constant, Float, Int
from hpsearch.spec.families import TRAINING, Family

RESIDUAL = Family(
    name="residual",
    description="Dense layers with shortcuts around them",
    build="hpsearch_extras.residual:build",
    space={
        **TRAINING,  # learning_rate, batch_size, epochs, optimizer
        "blocks": Int(1, 3),
        "units": Choice((16, 32, 64)),
        "dropout": Float(0.0, 0.5, step=0.1),
        "activation": Constant("relu"),
    },
)
