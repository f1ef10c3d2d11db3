"""The champion's model card in Markdown: what it is for, what it was made of, how good it is, and what is not known.

Its sections are those of M. Mitchell et al., "Model Cards for Model Reporting" (2019), as far as a study knows them.
"""

from collections.abc import Sequence

from hpsearch.analysis import words
from hpsearch.core.facts import DataFacts, Task
from hpsearch.core.safe_text import code_block
from hpsearch.core.safe_text import for_markdown as text
from hpsearch.core.words import readable_address
from hpsearch.ledger.record import StudyRecord
from hpsearch.report.artifacts import ReportArtifacts
from hpsearch.report.content import Content, gather
from hpsearch.report.markdown import table

UNKNOWN = (
    "Scores hold for rows from where these came from. Rows of another source or of a later time were not tested.",
    "Whether the model is as good for every group of people or things that the rows describe was not tested.",
)


def model_card(record: StudyRecord, artifacts: ReportArtifacts) -> str:
    """The card of a study that has a champion.

    Args:
        record: The study.
        artifacts: Its predictions.
    """
    content = gather(record, artifacts)
    parts = [f"# Model card: {text(record.name)}", _what(record, content), "## Data"]
    parts += [table(("", ""), {**content.provenance.data, **content.provenance.splits}.items())]
    parts += ["## Scores", *_scores(content), _bullets(content.verdict.sentences)]
    parts += ["## Limits", _bullets([*content.provenance.notes, *UNKNOWN]), "## Use", *_use(record, content)]
    parts += ["## Training", table(("hyperparameter", "value"), _settings(content)), *_provenance(record, content)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _what(record: StudyRecord, content: Content) -> str:
    data, champion = record.facts.data, record.champion
    assert champion is not None
    model = record.spec.model.family or readable_address(record.spec.model.build or "Keras")
    return (
        f"A Keras model ({text(model)}) for {_purpose(data)}, {words.whole(champion.parameters)} parameters. "
        f"It is trial {champion.trial}, {_chosen(content)} of a hyperparameter search, {text(champion.made)}."
    )


def _chosen(content: Content) -> str:
    trials = words.several(content.leaderboard.total, "complete trial")
    return f"chosen by hand among {trials}" if content.verdict.crowned is not None else f"the best of {trials}"


def _purpose(data: DataFacts) -> str:
    if data.task is Task.REGRESSION:
        return "regression"
    if data.task is Task.SEVERAL:
        return f"{words.several(len(data.outputs), 'output')} ({', '.join(text(one.name) for one in data.outputs)})"
    if data.task is Task.NONE:
        return "rows without targets"
    if data.task is Task.MULTILABEL:
        return f"classification with {words.several(len(data.classes), 'label')} that do not exclude each other"
    return f"classification into {words.several(len(data.classes), 'class', 'classes')}"


def _scores(content: Content) -> list[str]:
    verdict, optimism = content.verdict, content.optimism
    rows: list[tuple[str, str, str]] = []
    for name, value in verdict.test.items():
        interval = verdict.test_intervals.get(name)
        ends = "" if interval is None else f"{words.number(interval.low)} to {words.number(interval.high)}"
        rows.append((f"test {name}", words.number(value), ends))
    if verdict.crowned is not None:  # what follows is of the search's winner
        return _tables(content, rows)
    if optimism.corrected is not None:
        ends = "" if optimism.low is None else f"{words.number(optimism.low)} to {words.number(optimism.high)}"
        rows.append(
            (f"{verdict.metric}, corrected for the choice of the trial", words.number(optimism.corrected), ends)
        )
    rows.append((f"{verdict.metric}, as searched", words.score(verdict.score, verdict.std), ""))
    return _tables(content, rows)


def _tables(content: Content, rows: Sequence[tuple[str, str, str]]) -> list[str]:
    found = [table(("", "score", "95 % interval"), rows)]
    for part in (content.predictions if not content.predictions.reason else content.out_of_fold).parts:
        classes = [
            (one.name, words.whole(one.support), f"{one.precision:.3f}", f"{one.recall:.3f}", f"{one.f1:.3f}")
            for one in part.class_scores
        ]
        of = "label" if part.kind == "labels" else "class"
        named = f"{of} of {part.output}" if part.output else of
        found.append(table((text(named), "rows", "precision", "recall", "F1"), classes))
    return found


def _bullets(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {text(one)}" for one in sentences)


def _use(record: StudyRecord, content: Content) -> list[str]:
    champion = record.champion
    assert champion is not None
    commands = [content.verdict.predict]
    if champion.model_uri:
        commands.append(f"python -c \"import mlflow; model = mlflow.pyfunc.load_model('{champion.model_uri}')\"")
    return [code_block("\n".join(commands), "sh")]


def _settings(content: Content) -> list[tuple[str, str]]:
    return [(name, words.setting(value)) for name, value in content.verdict.config.items()]


def _provenance(record: StudyRecord, content: Content) -> list[str]:
    info, champion = content.provenance, record.champion
    assert champion is not None
    pairs = {"study": record.name, "seed": info.seed, "SHA-256": champion.sha256, **info.machine, **info.versions}
    return ["## Made with", table(("", ""), pairs.items())]
