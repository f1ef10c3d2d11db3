"""Which trial can be made the champion by hand, and as what."""

from hpsearch import analysis
from hpsearch.core.trial import Trial
from hpsearch.errors import StudyError
from hpsearch.ledger.record import StudyRecord
from hpsearch.spec import ChampionSection, StudySpec


def check_crown(record: StudyRecord, number: int) -> Trial:
    """The trial, if it can be made the champion of its study.

    Raises:
        StudyError: There is no such trial, it has no score of all folds, it is the champion already, or the study is a
            null search or an outer fold.
    """
    name = record.name
    if record.spec.is_null or record.spec.validation.outer is not None:
        what = "a null search" if record.spec.is_null else "an outer fold of a nested validation"
        why = "which makes no champion" if record.spec.is_null else "whose champion has to be the search's own"
        raise StudyError(
            f"study {name!r} is {what}, {why}",
            code="no-crown-here",
            hint="crown a trial of the study that it belongs to",
            study=name,
        )
    trial = analysis.find_trial(record, number)
    if trial not in record.ranked and (trial not in record.infeasible or trial.score is None):
        best = [str(one.number) for one in record.ranked[:5]]
        untrained = trial in record.infeasible and trial.failure is not None
        state = f"infeasible ({trial.failure.message})" if untrained and trial.failure else str(trial.state)
        raise StudyError(
            f"trial {number} of study {name!r} is {state}: only a trial with a score of all folds can be made the "
            "champion",
            code="trial-not-complete",
            hint=f"the best ones are {', '.join(best)}" if best else f"`{record.command('show')}` shows its trials",
            study=name,
            trial=number,
            state=trial.state.value,
        )
    champion = record.champion
    if champion is not None and champion.trial == number and champion.models == 1:
        chosen = "" if champion.crowned is None else ", chosen by hand"
        raise StudyError(
            f"trial {number} is the champion of study {name!r} already{chosen}",
            code="champion-already",
            hint=f"`{record.command('show')}` shows it",
            study=name,
            trial=number,
        )
    return trial


def crowned_spec(spec: StudySpec) -> StudySpec:
    """The study file for a champion of one trial: the mean of its fold models if the study asks for that, else one."""
    kind = "folds" if spec.champion.kind == "folds" else "refit"
    return spec.model_copy(update={"champion": ChampionSection(kind=kind)})
