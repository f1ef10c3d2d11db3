"""What each kind of plugin must promise, as checks that raise ``AssertionError`` with the rule and what was received.

Built-in tuners, pruners, executors and engines are tested with the same rules. One line in a test of your own package
is enough::

    def test_my_tuner():
        check_tuner(MyTuners, "climb")

The checks of executors, engines and families train small Keras models.
"""

from hpsearch.testing.contracts.engines import ENGINE_RULES, check_engine
from hpsearch.testing.contracts.executors import EXECUTOR_RULES, check_executor
from hpsearch.testing.contracts.families import check_family
from hpsearch.testing.contracts.pruners import PRUNER_RULES, check_pruner
from hpsearch.testing.contracts.sources import check_source
from hpsearch.testing.contracts.tuners import TUNER_RULES, TunerCase, check_tuner

__all__ = [
    "ENGINE_RULES",
    "EXECUTOR_RULES",
    "PRUNER_RULES",
    "TUNER_RULES",
    "TunerCase",
    "check_engine",
    "check_executor",
    "check_family",
    "check_pruner",
    "check_source",
    "check_tuner",
]
