"""What each kind of plugin must promise, as checks that raise ``AssertionError`` with the rule and what was received.

Built-in tuners, pruners, executors and engines are tested with the same rules. One line in a test of your own package
is enough::

    def test_my_tuner():
        check_tuner(MyTuners, "climb")

The checks of executors, engines and families import Keras.
"""

from hpsearch.testing.contracts.pruners import PRUNER_RULES, check_pruner
from hpsearch.testing.contracts.sources import check_source
from hpsearch.testing.contracts.tuners import TUNER_RULES, TunerCase, check_tuner

__all__ = ["PRUNER_RULES", "TUNER_RULES", "TunerCase", "check_pruner", "check_source", "check_tuner"]
