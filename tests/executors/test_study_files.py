"""What travels of a study, and how a machine elsewhere keeps it."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hpsearch.data.files import find_file
from hpsearch.errors import DataError, SpecError
from hpsearch.executors.far_messages import FromPlace, Part, Ready, Wants, parts_of, put
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
        content = Path(files._paths[name]).read_bytes()
        middle = len(content) // 2
        said += cache.take(Part("study", name, 0, content[:middle], last=False))
        said += cache.take(Part("study", name, middle, content[middle:], last=True))
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


@pytest.mark.parametrize("way", ["outside", "above", "link", "absolute"])
def test_the_data_file_is_found_however_it_is_named(home: Path, tmp_path: Path, way: str) -> None:
    (home.parent / "rows.csv").write_text("a,b\n3,4\n")
    (home / "link.csv").symlink_to(home / "data" / "rows.csv")
    sources = {
        "outside": str(home.parent / "rows.csv"),
        "above": "../rows.csv",
        "link": "link.csv",
        "absolute": str(home / "data" / "rows.csv"),
    }
    spec = study(home, sources[way])
    files, cache = StudyFiles(spec), FileCache(tmp_path / "cache")
    hidden = tuple(replace(one, path=one.path.lstrip("/")) for one in files.files)  # as if no such path were here
    cache.open(elsewhere(spec), hidden, files.data.lstrip("/"))
    (wants,) = cache.news()
    assert isinstance(wants, Wants)
    for name in wants.paths:
        path = files.path(name) or files.path(f"/{name}")
        assert path is not None
        for part in parts_of("study", path, name):
            cache.take(part)
    found = find_file(cache.spec.data.source, cache.spec.folder)
    assert found.read_bytes() == find_file(sources[way], home).read_bytes()
    assert found.is_relative_to(tmp_path / "cache")


def test_a_study_without_files_has_a_folder(home: Path, tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "cache")
    cache.open(elsewhere(study(home)), ())
    assert cache.news() == (Ready(),)
    assert Path(cache.spec.folder).is_dir()


def test_a_folder_in_use_is_not_removed(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpsearch.executors.file_cache._KEPT_FOLDERS", 0)
    spec, files = study(home), StudyFiles(study(home))
    first, second = FileCache(tmp_path / "cache"), FileCache(tmp_path / "cache")
    first.open(elsewhere(spec), files.files)
    deliver(first, files, first.news()[0].paths)  # type: ignore[union-attr]
    second.open(elsewhere(spec), ())
    assert second.news() == (Ready(),)
    assert (Path(first.spec.folder) / "model.py").is_file()
    first.close()
    third = FileCache(tmp_path / "cache")
    third.open(elsewhere(spec), files.files[:1])
    deliver(third, files, third.news()[0].paths)  # type: ignore[union-attr]
    assert not Path(first.spec.folder).exists()
    assert Path(second.spec.folder).is_dir()


def test_what_was_fetched_while_one_looked_is_used(home: Path, tmp_path: Path) -> None:
    spec, files = study(home), StudyFiles(study(home))
    first, late = FileCache(tmp_path / "cache"), FileCache(tmp_path / "cache")
    first.open(elsewhere(spec), files.files)
    deliver(first, files, first.news()[0].paths)  # type: ignore[union-attr]
    first.close()
    late.open(elsewhere(spec), files.files)
    assert late.news() == (Ready(),)
    assert (Path(late.spec.folder) / "model.py").is_file()


def test_a_file_that_has_changed_since_is_not_sent(home: Path) -> None:
    files = StudyFiles(study(home))
    assert files.path("helper.py") == home / "helper.py"
    (home / "helper.py").write_text("changed = 1\n")
    assert files.path("helper.py") is None
    (home / "scores.py").unlink()
    assert files.path("scores.py") is None
    assert files.path("/etc/passwd") is None


def test_a_file_that_comes_again_begins_anew(tmp_path: Path) -> None:
    file = tmp_path / "file"
    put(Part("folder", "file", 0, b"half of", last=False), file)
    put(Part("folder", "file", 0, b"whole", last=False), file)
    put(Part("folder", "file", 5, b" file", last=True), file)
    assert file.read_bytes() == b"whole file"
    with pytest.raises(OSError, match="does not follow"):
        put(Part("folder", "file", 3, b"late", last=True), file)


@pytest.mark.parametrize("pattern", ["", "/data/*", "../data/*", "a/../../b", "~/x", "a**"])
def test_patterns_stay_in_the_folder(home: Path, pattern: str) -> None:
    with pytest.raises(SpecError, match="must be patterns of files below the study file's folder"):
        study(home, files=[pattern])


@pytest.mark.parametrize("name", ["", ".", "/", "a\0b", "\ud800"])
def test_names_that_no_file_has(name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a file"):
        inside(name)


@pytest.mark.parametrize("name", ["/etc/passwd", "../../etc/passwd", "a/../../../etc/passwd", "./etc/passwd"])
def test_no_path_leads_out_of_its_folder(name: str) -> None:
    assert not inside(name).is_absolute()
    assert ".." not in inside(name).parts
    assert inside(name).parts[-2:] == ("etc", "passwd")
