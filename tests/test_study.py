"""Starting a study anew, going on with it, and what may have changed meanwhile; without Keras."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hpsearch import study
from hpsearch.analysis import verdict_info
from hpsearch.cli.main import app
from hpsearch.core.trial import Champion
from hpsearch.errors import LedgerError, SpecError
from hpsearch.executors.base import P, T, WorkerCall
from hpsearch.ledger import deletion, workspace
from hpsearch.ledger.record import StudyState
from hpsearch.ledger.store import Ledger
from hpsearch.search import starting
from hpsearch.search.observer import Observer
from hpsearch.spec import ModelSection, OuterSection, load_spec
from hpsearch.testing.synthetic import STUDY, SyntheticExecutor, make_record
from hpsearch.training.protocol import WorkerProtocol


class Executor(SyntheticExecutor):
    """Has data, and refits by writing a file."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.refitted: list[str] = []

    def call(self, method: WorkerCall[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if method is WorkerProtocol.describe_data:
            return make_record(load_spec(self.folder / "synthetic.toml")[0]).facts.data
        if method is WorkerProtocol.asked:
            return None
        assert method is WorkerProtocol.refit
        best, kind = args[0].trials[0], load_spec(self.folder / "synthetic.toml")[0].champion.kind
        self.refitted.append(kind)
        (self.folder / "champion.keras").write_text("model")
        folder = self.folder / "champion.mlflow"
        folder.mkdir(exist_ok=True)
        (folder / "MLmodel").touch()
        path = str(self.folder / "champion.keras")
        champion = Champion(best.trial, best.config, best.epochs, {}, {"accuracy": 0.5}, path, "sha", 1, 5, 0.1)
        return replace(champion, mlflow_model=str(folder), kind=kind, trials=tuple(one.trial for one in args[0].trials))


class Listening(Observer):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


def write(folder: Path, *, trials: int) -> Path:
    path = folder / "synthetic.toml"
    values = {"name": "synthetic", "seed": 3, "folds": 2, "epochs": 2, "tuner": "optuna", "algorithm": "random"}
    # Nothing listens at port 1: MLflow is out of reach, which a study does not mind.
    values |= {"search": "", "objective": "", "pruning": "none", "ledger": "sqlite:///ledger.db"}
    values |= {"uri": "http://127.0.0.1:1"}
    path.write_text(STUDY.format(**values, trials=trials))
    return path


@pytest.fixture
def begun(tmp_path: Path, monkeypatch) -> Ledger:
    """A ledger with the study of ``write(tmp_path, trials=6)``, stopped after three trials."""
    monkeypatch.chdir(tmp_path)

    executor = Executor(tmp_path)

    @contextmanager
    def opened(*_: object, **__: object) -> Iterator[Executor]:
        yield executor

    monkeypatch.setattr(starting, "open_executor", opened)
    spec, text = load_spec(write(tmp_path, trials=6))
    ledger = Ledger("sqlite:///ledger.db", create=True)
    short = spec.model_copy(update={"search": spec.search.model_copy(update={"trials": 3})})
    ledger.create(replace(make_record(short), study_file=text))
    study.resume("synthetic", ledger=ledger.uri)
    ledger.set_state("synthetic", StudyState.INTERRUPTED)
    ledger.set_spec("synthetic", spec)
    return ledger


def test_fewer_trials_end_the_search_early_and_the_winner_is_refitted(begun: Ledger) -> None:
    for trials in (4, 4):
        outcome = study.resume("synthetic", ledger=begun.uri, trials=trials)
        assert (len(outcome.trials), outcome.record.state) == (4, StudyState.FINISHED)
        assert outcome.champion.trial == outcome.best.number
    assert study.resume("synthetic", ledger=begun.uri).record.spec.search.trials == 4


def test_another_kind_of_champion_is_made_without_a_new_search_and_its_score_is_doubted(
    begun: Ledger, tmp_path: Path
) -> None:
    path = tmp_path / "synthetic.toml"
    text = path.read_text()
    first = study.run(path)
    assert (first.champion.kind, first.champion.rechosen) == ("refit", False)
    for kind in ("top-2", "top-2", "refit"):
        path.write_text(f'{text}\n[champion]\nkind = "{kind}"\n')
        changed = study.run(path)
        assert [one.folds for one in changed.trials] == [one.folds for one in first.trials]
        assert (changed.champion.kind, changed.champion.rechosen) == (kind, True)
        assert changed.champion.trials == tuple(one.number for one in changed.record.ranked[: 1 + (kind == "top-2")])
        (said,) = [one for one in verdict_info(changed.record).sentences if "reaches a test" in one]
        assert said.endswith(
            "This kind was asked for after another had been tested: its score may be the best of several."
        )


def test_fewer_trials_than_have_begun_are_refused_with_the_number_that_ends_the_search(begun: Ledger) -> None:
    with pytest.raises(SpecError) as caught:
        study.resume("synthetic", ledger=begun.uri, trials=2)
    assert caught.value.code == "study-file.fewer-trials-than-begun"
    assert caught.value.values == {"trials": 2, "begun": 3}
    assert "`hpsearch resume synthetic --trials 3 --ledger sqlite:///ledger.db` ends" in caught.value.hint
    assert len(study.resume("synthetic", ledger=begun.uri, trials=3).trials) == 3


@pytest.mark.parametrize(
    ("trials", "hint"),
    [
        (9, "--trials 9 --ledger sqlite:///ledger.db` extends it"),
        (4, "--trials 4 --ledger sqlite:///ledger.db` ends the search there"),
        (2, "3 trials already: `hpsearch resume synthetic --trials 3 --ledger sqlite:///ledger.db` ends the"),
    ],
)
def test_another_number_of_trials_in_the_file_is_refused_with_what_to_do(
    begun: Ledger, tmp_path: Path, trials: int, hint: str
) -> None:
    with pytest.raises(SpecError, match=rf"search\.trials: was 6, is {trials}") as caught:
        study.run(write(tmp_path, trials=trials))
    assert caught.value.code == "study-file.study-changed"
    assert caught.value.values["changed"] == ("search.trials",)
    assert hint in caught.value.hint
    assert len(begun.load("synthetic").trials) == 3


@pytest.mark.parametrize("trials", [4, 7])
def test_the_file_as_it_was_goes_on_with_the_number_that_resume_has_set_and_says_so(
    begun: Ledger, tmp_path: Path, trials: int
) -> None:
    study.resume("synthetic", ledger=begun.uri, trials=trials)
    observer = Listening()
    assert len(study.run(tmp_path / "synthetic.toml", observer=observer).trials) == trials
    (told,) = [text for text in observer.said if text.startswith("trials: ")]
    assert told.startswith(f"trials: the study file says 6, but the study now has {trials}")
    assert ("`hpsearch resume" in told) == (trials < 6)
    with pytest.raises(SpecError, match="already: put back `trials = "):
        study.run(write(tmp_path, trials=2))


def test_code_that_changed_between_two_starts_is_noted_once_and_not_refused(begun: Ledger, tmp_path: Path) -> None:
    code = tmp_path / "models" / "mine.py"
    code.parent.mkdir()
    spec = begun.load("synthetic").spec
    own = spec.model_copy(update={"model": ModelSection(build="models.mine:build"), "folder": str(tmp_path)})
    begun.set_spec("synthetic", own)
    said = []
    for text, trials in (("a = 1", 3), ("a = 1", 4), ("a = 2", 5), ("a = 2", 6)):
        code.write_text(text)
        observer = Listening()
        record = study.resume("synthetic", ledger=begun.uri, trials=trials, observer=observer).record
        said.append([told for told in observer.said if "models.mine:build" in told])
        assert record.facts.model_source == hashlib.sha256(text.encode()).hexdigest()
    assert [len(told) for told in said] == [0, 0, 1, 0]
    (note,) = said[2]
    assert note.startswith("the code of models.mine:build has changed since trial 3 (SHA-256 ")
    assert note in record.notes
    assert len(record.trials) == 6


def test_code_mended_before_any_fold_was_trained_is_no_matter(begun: Ledger, tmp_path: Path) -> None:
    fresh = begun.load("synthetic")
    spec = fresh.spec.model_copy(update={"name": "fresh", "model": ModelSection(build="mine:build"), "folder": "."})
    begun.create(replace(fresh, name="fresh", spec=spec, facts=replace(fresh.facts, model_source="0" * 64)))
    (tmp_path / "mine.py").write_text("a = 1")
    record = study.resume("fresh", ledger=begun.uri, trials=1).record
    assert not any("has changed since" in note for note in record.notes)


def test_a_deleted_study_is_gone_and_its_name_is_free_for_another(begun: Ledger, tmp_path: Path) -> None:
    with workspace.driving(begun.uri, "synthetic"), pytest.raises(LedgerError) as taken:
        deletion.delete("synthetic", ledger=begun.uri)
    assert taken.value.code.startswith("ledger.")
    other = begun.load("synthetic")
    begun.create(replace(other, name="other", spec=other.spec.model_copy(update={"name": "other"})))
    folder = deletion.delete("synthetic", ledger=begun.uri)
    assert not folder.exists()
    assert Ledger(begun.uri).names() == ["other"]
    with pytest.raises(LedgerError, match="no study 'synthetic'"):
        deletion.delete("synthetic", ledger=begun.uri)
    begun.create(make_record(load_spec(write(tmp_path, trials=6))[0]))
    assert begun.load("synthetic").trials == ()


def test_what_was_given_in_memory_goes_with_the_last_study_that_needs_it(begun: Ledger) -> None:
    record, root = begun.load("synthetic"), workspace.root_of(begun.uri) / "given"
    for name, source in (("one", "given_ab_cd"), ("two", "given_ab_cd"), ("other", "given_ef_cd")):
        (root / source).mkdir(parents=True, exist_ok=True)
        data = record.spec.data.model_copy(update={"source": f"{source}:data"})
        spec = record.spec.model_copy(update={"name": name, "data": data})
        begun.create(replace(record, name=name, spec=spec))
        workspace.study_folder(begun.uri, name).mkdir(parents=True, exist_ok=True)

    def left() -> set[str]:
        return {path.name for path in root.iterdir()}

    deletion.delete("one", ledger=begun.uri)
    assert left() == {"given_ab_cd", "given_ef_cd"}
    deletion.delete("two", ledger=begun.uri)
    assert left() == {"given_ef_cd"}
    deletion.delete("synthetic", ledger=begun.uri)
    assert left() == {"given_ef_cd"}


def test_outer_folds_and_null_searches_are_deleted_with_their_study_and_namesakes_are_not(begun: Ledger) -> None:
    record = begun.load("synthetic")
    outer = record.spec.validation.model_copy(update={"outer": OuterSection(folds=2, index=1)})
    parts = {
        "synthetic.outer1": outer,
        "synthetic.null0": record.spec.validation.model_copy(update={"null": 0}),
        "synthetic.outer7": record.spec.validation,  # a study that a user has called so
        "other.outer1": outer,
    }
    for name, validation in parts.items():
        spec = record.spec.model_copy(update={"name": name, "validation": validation})
        begun.create(replace(record, name=name, spec=spec))
    folder = workspace.study_folder(begun.uri, "synthetic.outer1")
    folder.mkdir(parents=True)
    with pytest.raises(SpecError) as caught:
        app(["delete", "synthetic", "--ledger", begun.uri], standalone_mode=False)
    assert sorted(caught.value.values["parts"]) == ["synthetic.null0", "synthetic.outer1"]
    assert "and with it synthetic." in caught.value.what
    app(["delete", "synthetic", "--yes", "--ledger", begun.uri], standalone_mode=False)
    assert sorted(begun.names()) == ["other.outer1", "synthetic.outer7"]
    assert not folder.exists()


def test_without_yes_nothing_is_deleted(begun: Ledger) -> None:
    with pytest.raises(SpecError) as caught:
        app(["delete", "synthetic", "--ledger", begun.uri], standalone_mode=False)
    assert caught.value.code == "study-file.not-confirmed"
    assert caught.value.values == {"study": "synthetic", "n_trials": 3, "folder": "studies/synthetic", "parts": ()}
    assert "hpsearch delete synthetic --yes" in caught.value.hint
    assert len(begun.load("synthetic").trials) == 3
    app(["delete", "synthetic", "--yes", "--ledger", begun.uri], standalone_mode=False)
    assert begun.names() == []


def test_other_settings_of_keras_are_refused_when_a_study_goes_on(begun: Ledger, monkeypatch) -> None:
    facts = begun.load("synthetic").facts
    was = {"floatx": "float32", "image_data_format": "channels_last"}
    begun.set_facts("synthetic", replace(facts, machine=replace(facts.machine, settings=was)))
    now = replace(facts.machine, settings={**was, "image_data_format": "channels_first"})
    call = Executor.call

    def described(self: Executor, method, *args, **kwargs):
        return now if method is WorkerProtocol.describe_machine else call(self, method, *args, **kwargs)

    monkeypatch.setattr(Executor, "call", described)
    with pytest.raises(LedgerError) as caught:
        study.resume("synthetic", ledger=begun.uri)
    assert caught.value.code == "ledger.keras-settings-changed"
    assert caught.value.values["changed"] == {"image_data_format": "channels_last"}


@pytest.mark.parametrize(
    "tracking",
    ["postgresql://me:hunter2@db/x", {"uri": ["postgresql://me:hunter2@db/x"]}, {"ledger": "oracle://me:hunter2@db/x"}],
)
def test_a_call_with_a_wrong_address_shows_no_password(tracking: object) -> None:
    with pytest.raises(SpecError) as caught:
        study.run({"model": {"family": "mlp"}, "data": {"source": "sklearn:iris"}}, tracking=tracking)
    assert "hunter2" not in f"{caught.value} {caught.value.written} {caught.value.values}"
