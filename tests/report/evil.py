"""A study in which every text is markup, and predictions for it."""

from dataclasses import replace

import numpy as np

from hpsearch import analysis, report
from hpsearch.core.facts import HostFacts
from hpsearch.core.trial import Failure, FailureKind, TrialState
from hpsearch.testing.factories import make_trial
from hpsearch.testing.searched import make_searched

EVIL = "<script>alert(1)</script>"
IMAGE = np.arange(64, dtype=np.uint8).reshape(8, 8)


def artifacts(record, *, name="class"):
    """Predictions of a digits champion whose every third row is wrong."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 10, 60)
    probabilities = np.full((60, 10), 0.01)
    said = np.where(np.arange(60) % 3 == 0, (truth + 1) % 10, truth)
    probabilities[np.arange(60), said] = 0.91
    layers = (analysis.Layer(f"dense {name}", "Dense", "(None, 10)", 650),)
    samples = dict.fromkeys(range(0, 60, 3), IMAGE)
    return report.ReportArtifacts(analysis.Predictions(truth, probabilities, np.arange(60), samples), layers)


def evil_record():
    """A study in which every text that a user, a library or a file can give is markup."""
    record = make_searched(20)
    number = len(record.trials)
    failed = replace(
        make_trial(number, TrialState.FAILED, config={"optimizer": EVIL}),
        failure=Failure(FailureKind.ERROR, f"ValueError: {EVIL}", fold=0, epoch=1, traceback=f"Traceback\n{EVIL}"),
    )
    facts = replace(
        record.facts,
        data=replace(record.facts.data, classes=(EVIL, *"123456789"), source=EVIL),
        machine=replace(record.facts.machine, versions={EVIL: EVIL}),
        host=HostFacts(platform=EVIL),
        git_commit=EVIL,
    )
    return replace(
        record,
        name=EVIL,
        trials=(*record.trials, failed),
        facts=facts,
        notes=(f"note {EVIL}",),
        study_file=record.study_file + f"# {EVIL}\n# ``` {EVIL}\n",
        champion=replace(record.champion, path=EVIL, model_uri=EVIL),
    )
