"""What travels of a study, and how a machine elsewhere keeps it."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from hpsearch.errors import DataError, SpecError
from hpsearch.executors.far_messages import FromPlace, Part, Ready, Wants
from hpsearch.executors.file_cache import FileCache, inside
from hpsearch.executors.study_files import StudyFiles
from hpsearch.spec import StudySpec, parse_spec

STUDY = """
name = "files"
[data]
source = "{source}"
[model]
build = "model:build"
[objective]
metric = "{metric}"
direction = "minimize"
[resources]
files = {files}
"""


def study(
    folder: Path, source: str = "data/rows.csv", metric: str = "val_loss", files: Sequence[str] = ()
) -> StudySpec:
    text = STUDY.format(source=source, metric=metric, files=list(files))
    return parse_spec(text).model_copy(update={"folder": str(folder)})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    for name, text in {
        "data/rows.csv": "a,b\n1,2\n",
        "data/weights.bin": "w",
        "model.py": "import json, numpy\nfrom parts import layers\nimport helper\n",
        "helper.py": "def f():\n    from scores import own\n",
        "parts/__init__.py": "",
        "parts/layers.py": "from . import deep\nfrom .other import one as two\n",
        "parts/deep/__init__.py": "from ..far import x\n",
        "parts/other.py": "",
        "parts/far.py": "",
        "parts/unused.py": "",
        "scores.py": "",
        "unused.py": "",
        "hpsearch/__init__.py": "",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return folder


def test_data_and_the_modules_that_are_imported_travel(home: Path) -> None:
    names = {one.path for one in StudyFiles(study(home)).files}
    code = {"model.py", "helper.py", "scores.py", "parts/__init__.py", "parts/layers.py", "parts/deep/__init__.py"}
    assert names == {"data/rows.csv", "parts/other.py", "parts/far.py", *code}


def test_so_do_a_data_function_a_metric_of_one_s_own_and_files_that_are_named(home: Path) -> None:
    names = {one.path for one in StudyFiles(study(home, "unused:load", "scores:own", ["data/*"])).files}
    assert {"unused.py", "scores.py", "data/weights.bin", "data/rows.csv"} <= names


def test_digests_are_those_of_the_files(home: Path) -> None:
    found = {one.path: one for one in StudyFiles(study(home)).files}["data/rows.csv"]
    content = (home / "data/rows.csv").read_bytes()
    assert (found.size, found.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_modules_of_the_working_directory_travel_too(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    other = home.parent / "elsewhere"
    other.mkdir()
    (other / "rows.csv").write_text("a\n1\n")
    assert "model.py" in {one.path for one in StudyFiles(study(other, "rows.csv")).files}


def test_files_that_are_not_there(home: Path) -> None:
    with pytest.raises(DataError, match=r"no\.csv"):
        StudyFiles(study(home, "no.csv"))
    with pytest.raises(SpecError, match=r"resources.files: '\*.npy' fits no file in .*home") as raised:
        StudyFiles(study(home, files=["*.npy"]))
    assert "data/*.npy" in raised.value.hint


# At the other end


def deliver(cache: FileCache, files: StudyFiles, wanted: Sequence[str]) -> list[FromPlace]:
    said: list[FromPlace] = []
    for name in wanted:
        content = files.path(name).read_bytes()
        middle = len(content) // 2
        said += cache.take(Part("study", name, content[:middle], last=False))
        said += cache.take(Part("study", name, content[middle:], last=True))
    return said


def elsewhere(spec: StudySpec) -> StudySpec:
    """The study file as a machine gets it that has no such folder."""
    return spec.model_copy(update={"folder": "/no/such/folder"})


def test_files_that_are_there_are_used_where_they_are(home: Path, tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "cache")
    cache.open(study(home), StudyFiles(study(home)).files)
    assert cache.news() == (Ready(),)
    assert cache.spec.folder == str(home)


def test_files_that_are_not_there_are_fetched_once(home: Path, tmp_path: Path) -> None:
    spec, files = study(home), StudyFiles(study(home))
    first, second = FileCache(tmp_path / "cache"), FileCache(tmp_path / "cache")
    first.open(elsewhere(spec), files.files)
    (wants,) = first.news()
    assert isinstance(wants, Wants)
    assert set(wants.paths) == {one.path for one in files.files}
    second.open(elsewhere(spec), files.files)
    assert second.news() == ()  # it waits for the first
    assert second.patience_s < 1
    assert deliver(first, files, wants.paths) == [Ready()]
    assert (Path(first.spec.folder) / "parts/far.py").is_file()
    assert second.news() == (Ready(),)
    assert second.spec.folder == first.spec.folder


def test_another_worker_fetches_them_when_the_first_has_died(home: Path, tmp_path: Path) -> None:
    spec, files = study(home), StudyFiles(study(home))
    first, second = FileCache(tmp_path / "cache"), FileCache(tmp_path / "cache")
    first.open(elsewhere(spec), files.files)
    (wants,) = first.news()
    assert isinstance(wants, Wants)
    second.open(elsewhere(spec), files.files)
    assert second.news() == ()
    deliver(first, files, wants.paths[:2])
    first._unlock()  # as the system does for a process that has died
    (again,) = second.news()
    assert again == wants
    assert deliver(second, files, wants.paths) == [Ready()]


def test_a_file_that_changed_while_it_travelled_is_asked_for_again(home: Path, tmp_path: Path) -> None:
    spec, files = study(home), StudyFiles(study(home))
    cache = FileCache(tmp_path / "cache")
    cache.open(elsewhere(spec), files.files)
    (wants,) = cache.news()
    assert isinstance(wants, Wants)
    (home / "helper.py").write_text("changed = 1\n")
    assert deliver(cache, files, wants.paths) == [wants]


def test_a_data_file_from_outside_of_the_folder_is_read_where_it_is_put(home: Path, tmp_path: Path) -> None:
    table = tmp_path.parent / f"{tmp_path.name}.csv"
    table.write_text("a,b\n1,2\n")
    spec = study(home, str(table))
    files, cache = StudyFiles(spec), FileCache(tmp_path / "cache")
    cache.open(elsewhere(spec), tuple(one for one in files.files if one.path != "data/rows.csv"))
    said = cache.news()
    if said != (Ready(),):
        assert isinstance(said[0], Wants)
        deliver(cache, files, said[0].paths)
        assert (Path(cache.spec.folder) / cache.spec.data.source).read_text() == "a,b\n1,2\n"
    table.unlink()


@pytest.mark.parametrize("name", ["/etc/passwd", "../../etc/passwd", "a/../../../etc/passwd", "./etc/passwd"])
def test_no_path_leads_out_of_its_folder(name: str) -> None:
    assert not inside(name).is_absolute()
    assert ".." not in inside(name).parts
    assert inside(name).parts[-2:] == ("etc", "passwd")
