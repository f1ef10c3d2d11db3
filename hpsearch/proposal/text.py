"""A proposal as a study file: every choice with its reason beside it."""

import re
import shlex
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hpsearch.analysis.toml import toml_key, toml_parameter, toml_value
from hpsearch.core.addresses import DEFAULT_LEDGER, DEFAULT_TRACKING
from hpsearch.core.space import Constant, Parameter
from hpsearch.proposal.values import Proposal
from hpsearch.spec import StudySpec, parse_spec

_WIDTH = 110

_TAIL = """
[pruning]
method = "none"        # none | median | successive-halving | hyperband | racing

[resources]
engine = "auto"        # one program for all folds of several trials if the model allows it, or Keras fit

[tracking]
uri = "{tracking}"     # MLflow: a database or a server's http(s) address
ledger = "{ledger}"  # Optuna storage
"""


def study_file(found: Proposal, path: Path) -> str:
    """The text of a study file that is to be written to `path`."""
    quoted = shlex.quote(str(path))
    head = (
        "# Proposed by `hpsearch init` from the data. Look through it: the reasons are beside the choices.\n"
        f"# `hpsearch check {quoted}` shows how the data are read, `hpsearch run {quoted}` runs the study.\n"
        f"name = {toml_value(found.name)}\nseed = 0\n"
    )
    sections = (_data(found), _validation(found), _space(found), _objective(found), _search(found))
    tail = _TAIL.format(tracking=DEFAULT_TRACKING, ledger=DEFAULT_LEDGER)
    return "\n".join([head, *("\n".join(lines) + "\n" for lines in sections)]) + tail


def _data(found: Proposal) -> Iterator[str]:
    yield "[data]"
    yield _entry("source", found.source, [found.summary] if found.summary else [])
    for name, value in found.data.items():
        yield _entry(name, value, found.remarks.get(name, ()))
    roles = found.roles
    for role, column in (("group", roles.group), ("time", roles.time)):
        if column is not None:
            yield _entry(role, column, [roles.remarks[role]])
    if roles.ignore:
        yield "ignore = ["
        names = {name: f"    {toml_value(name)}," for name in roles.ignore}
        width = min(max(map(len, names.values())), 40)
        yield from (f"{names[name]:{width}}  # {_one_line(why)}" for name, why in roles.ignore.items())
        yield "]"
    yield _entry("test_fraction", found.validation.test_fraction, _because(found.validation.why, "test_fraction",
                 "rows that only test the winner; not used if the source has its own test rows"))  # fmt: skip


def _validation(found: Proposal) -> Iterator[str]:
    validation = found.validation
    yield "[validation]"
    if validation.method is not None:
        yield _entry("method", validation.method, _because(validation.why, "method"))
    yield _entry("folds", validation.folds, _because(validation.why, "folds"))


def _space(found: Proposal) -> Iterator[str]:
    yield "[model]"
    yield _entry("family", found.family, ['or build = "my_package.models:build"'])
    yield ""
    yield "[space]                # ranges include both ends; `hpsearch models` lists what can be added"
    for name, parameter in found.searched.parameters.items():
        remark = found.searched.remarks.get(name)
        yield _with_remarks(f"{toml_key(name)} = {_parameter(parameter)}", [remark] if remark else [])


def _parameter(parameter: Parameter) -> str:
    return toml_value(parameter.value) if isinstance(parameter, Constant) else toml_parameter(parameter)


def _objective(found: Proposal) -> Iterator[str]:
    yield "[objective]"
    yield _entry("metric", found.goal.metric, [found.goal.why] if found.goal.why else [])
    yield _entry("direction", found.goal.direction)
    yield _entry("epoch", "best", ['the best epoch of the mean curve over folds, or "last"'])


def _search(found: Proposal) -> Iterator[str]:
    yield "[search]"
    yield _entry("algorithm", "bayesian", ["hpsearch: bayesian · optuna: tpe gp cmaes qmc random grid"])
    yield _entry("trials", found.trials, [found.budget] if found.budget else [])


def _because(why: Mapping[str, str], key: str, otherwise: str = "") -> list[str]:
    text = why.get(key, otherwise)
    return [text] if text else []


def _entry(name: str, value: object, remarks: Sequence[str] = ()) -> str:
    return _with_remarks(f"{name} = {toml_value(value)}", remarks)


def _with_remarks(entry: str, remarks: Sequence[str]) -> str:
    """The entry with its comment behind it; above it where the line would get too long."""
    if not remarks:
        return entry
    texts = [_one_line(one) for one in remarks]
    behind = f"{entry:22} # {texts[0]}"
    if len(texts) == 1 and len(behind) <= _WIDTH:
        return behind
    lines = [line for text in texts for line in textwrap.wrap(text, _WIDTH - 2, break_long_words=False)]
    return "\n".join([*(f"# {line}" for line in lines), entry])


def _one_line(text: str) -> str:
    """TOML forbids control characters in comments, and a line break would end the comment."""
    return re.sub(r"[\x00-\x08\x0a-\x1f\x7f]", " ", text)


def spec_of(found: Proposal, folder: Path) -> StudySpec:
    """The proposal as hpsearch reads it from its study file in `folder`."""
    return parse_spec(study_file(found, Path("study.toml")), origin="the new study file", folder=folder.resolve())
