"""A build function is told from another one by all that it refers to, in every process alike."""

import subprocess
import sys
from pathlib import Path

import pytest

from hpsearch.own_code import digest_of, own_modules, packages, referred


def typed(code: str) -> object:
    """What a cell calls ``build``."""
    names: dict[str, object] = {"__name__": "__main__"}
    exec(code, names)
    return names["build"]


CHANGED = {
    "one of three equal numbers": "A = 32\nB = 64\nC = {}\ndef build(hp): return A + B + C",
    "a function below a partial": "from functools import partial\ndef f(hp, n): return {}\nbuild = partial(f, n=2)",
    "an argument of a partial": "from functools import partial\ndef f(hp, n): return n\nbuild = partial(f, n={})",
    "a function in a dict": "def f(): return {}\nALL = dict(f=f)\ndef build(hp): return ALL['f']()",
    "a bound method": "class M:\n  def make(self, hp): return {}\nbuild = M().make",
    "an attribute": "class M:\n  def __init__(me): me.n = {}\n  def make(me, hp): return me.n\nbuild = M().make",
    "a base class": "class B:\n  def n(me): return {}\nclass M(B):\n  def build(me, hp): return me.n()\nbuild = M",
    "a static method": "class M:\n  @staticmethod\n  def n(): return {}\n  def build(self, hp): return 1\nbuild = M()",
    "a property": "class M:\n  @property\n  def n(self): return {}\n  def build(self, hp): return self.n\nbuild = M",
    "a cached function": "from functools import cache\n@cache\ndef f(): return {}\ndef build(hp): return f()",
    "a default": "def f(): return {}\ndef build(hp, f=f): return f()",
    "a set": "N = {{'a', 'b', {}}}\ndef build(hp): return hp in N",
    "a nested function": "def build(hp):\n  def inner(): return {}\n  return inner()",
}


@pytest.mark.parametrize("code", CHANGED.values(), ids=CHANGED)
def test_every_change_is_another_build_function(code: str) -> None:
    first, same, other = (digest_of(typed(code.format(n))) for n in (32, 32, 64))
    assert first == same
    assert first != other


def test_names_of_attributes_are_not_globals() -> None:
    code = "units = {}\ndef build(hp): return hp.units"
    assert digest_of(typed(code.format(1))) == digest_of(typed(code.format(2)))


def test_what_refers_to_itself_has_a_digest() -> None:
    assert digest_of(typed("L = []\nL.append(L)\ndef build(hp): return build(hp), L"))


def test_the_digest_is_that_of_other_processes(tmp_path: Path) -> None:
    (tmp_path / "cell.py").write_text(
        "from hpsearch.own_code import digest_of\nALL = {'relu', 'tanh', 'elu', 'gelu'}\ndef f(): return 1\n"
        "def build(hp, g=f): return hp in ALL or hp in {'a', 'b', 'c', 'd'}\nprint(digest_of(build).hex())\n"
    )
    found = {
        subprocess.run(
            [sys.executable, "cell.py"], cwd=tmp_path, env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in "123"
    }
    assert len(found) == 1


def test_modules_beside_the_program_are_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "__init__.py").write_text("from beside import parts\nLOCK = object()\n")
    (tmp_path / "beside" / "parts.py").write_text("import numpy\n\ndef head(): return numpy.ones(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    build = typed("import json\nimport beside\ndef build(hp): return json, beside.parts.head()")
    assert {one.__name__ for one in own_modules(build)} == {"beside", "beside.parts"}
    assert "head" in referred(build)
    assert packages(build) == ["numpy"]
    first = digest_of(build)
    monkeypatch.setattr("beside.parts.head", typed("def build(): return 4"))
    assert digest_of(build) != first
