"""What is said of a champion that was chosen by hand."""

from hpsearch.core.trial import TrialState
from hpsearch.core.words import utc_minute
from hpsearch.ledger.record import StudyRecord


def crowned_sentences(record: StudyRecord) -> tuple[str, ...]:
    """That it was, when, and what that makes of its test score; nothing for the search's own winner."""
    champion = record.champion
    if champion is None or champion.crowned is None:
        return ()
    best = record.best
    others = "the search has no winner" if best is None else f"the search's best is trial {best.number}"
    same = best is not None and best.number == champion.trial
    said = [
        f"Trial {champion.trial} was made the champion by hand on {utc_minute(champion.crowned)}"
        + ("; it is also the search's best." if same else f"; {others}.")
    ]
    trial = next((one for one in record.trials if one.number == champion.trial), None)
    if trial is not None and trial.state is TrialState.INFEASIBLE and trial.failure is not None:
        said.append(f"It breaks a limit of the study: {trial.failure.message}.")
    if champion.rechosen:
        said.append(
            "Test scores were known when it was chosen, so its own is not unbiased: it may be the best of several, and "
            "too good."
        )
    elif champion.test:
        said.append("No test score was known when it was chosen.")
    return tuple(said)
