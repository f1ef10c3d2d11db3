"""What a study file may say of callbacks."""

import pytest

from hpsearch.core.callbacks import EarlyStopping
from hpsearch.core.space import Int
from hpsearch.spec import make_space, parse_spec
from tests.raising import raises

from .texts import GOOD

CALLBACKS = GOOD + "[[training.callbacks]]\n"


def test_callbacks_have_keras_own_arguments_and_may_take_hyperparameters() -> None:
    spec = parse_spec(
        (CALLBACKS + 'kind = "EarlyStopping"\npatience = "space.patience"\nmin_delta = 0.01\n').replace(
            "[space]", "[space]\npatience = { low = 2, high = 5 }"
        )
    )
    assert make_space(spec)["patience"] == Int(2, 5)
    assert spec.training.stock({"patience": 3}) == (EarlyStopping(patience=3, min_delta=0.01),)
    assert spec.training.hyperparameters == {"patience"}


@pytest.mark.parametrize(
    ("table", "space", "line"),
    [
        ('kind = "EarlyStoping"', "",
         "training.callbacks.0.kind: unknown callback 'EarlyStoping' (did you mean 'EarlyStopping'?); here it may be "
         "EarlyStopping, ReduceLROnPlateau, LearningRateScheduler, TerminateOnNaN, and callbacks(config) in the build "
         "module may return any"),
        ('kind = "BackupAndRestore"', "",
         "training.callbacks.0.kind: BackupAndRestore has no use here: `hpsearch resume` repeats no finished fold"),
        ('kind = "EarlyStopping"\npatiense = 3', "",
         "training.callbacks.0.patiense: unknown argument of EarlyStopping (did you mean 'patience'?); it has monitor, "
         "min_delta, patience, mode, baseline, restore_best_weights, start_from_epoch, scope"),
        ('kind = "ReduceLROnPlateau"\npatience = -1', "",
         "training.callbacks.0.patience: must be a whole number of at least 0, but got -1"),
        ('kind = "ReduceLROnPlateau"\nfactor = 2.0', "",
         "training.callbacks.0.factor: must be a number of at least 0 and less than 1, but got 2.0"),
        ('kind = "EarlyStopping"\nmode = "mx"', "",
         "training.callbacks.0.mode: must be one of auto, min, max, but got 'mx' (did you mean 'max'?)"),
        ('kind = "LearningRateScheduler"', "",
         'training.callbacks.0.schedule: is required, such as "my_module:function" of (epoch, lr)'),
        ("patience = 3", "",
         "training.callbacks.0.kind: is required, one of EarlyStopping, ReduceLROnPlateau, LearningRateScheduler, "
         "TerminateOnNaN"),
        ('kind = "EarlyStopping"\npatience = "space.wait"', "",
         "training.callbacks.0.patience: names the hyperparameter 'wait', which is not in the space"),
        ('kind = "EarlyStopping"\npatience = "space.wait"', "wait = [-1, 3]",
         "space.wait: must be a whole number of at least 0 for training.callbacks.0.patience, but got -1"),
        ('kind = "EarlyStopping"\nscope = "mean"\n[pruning]\nfolds = "forgiving"', "",
         "pruning: folds = 'forgiving' trains the folds one by one, but EarlyStopping of scope = 'mean' follows all of "
         "them together; remove one of the two"),
    ],
)  # fmt: skip
def test_mistakes_in_callbacks(table: str, space: str, line: str) -> None:
    with raises("study-file.broken-rules") as caught:
        parse_spec((CALLBACKS + table + "\n").replace("[space]", f"[space]\n{space}"))
    assert str(caught.value).splitlines()[1:] == [f"  - {line}"]
