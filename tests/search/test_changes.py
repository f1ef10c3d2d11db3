"""What a study file may leave open between two starts of a study."""

from dataclasses import replace

import pytest

from hpsearch.search.changes import check_unchanged, with_defaults_as_begun
from hpsearch.spec import parse_spec
from hpsearch.testing.factories import make_record
from tests.raising import raises

FILE = """
name = "digits"
[data]
source = "sklearn:digits"
[model]
family = "mlp"
[objective]
metric = "val_accuracy"
direction = "maximize"
"""
TPE = '[search]\nalgorithm = "tpe"\n'


def test_a_study_keeps_the_default_search_that_it_began_with():
    """Its file has changed elsewhere meanwhile."""
    record = replace(make_record(), spec=parse_spec(FILE + TPE), study_file=FILE)
    text = FILE + '[tracking]\nuri = "sqlite:///elsewhere.db"\n'
    spec = with_defaults_as_begun(record, parse_spec(text), text)
    assert (spec.search.tuner, spec.search.algorithm) == ("optuna", "tpe")
    check_unchanged(record, spec)


@pytest.mark.parametrize(
    ("began", "now"), [(FILE + TPE, FILE), (FILE, FILE + TPE), (FILE + TPE, FILE + TPE.replace("tpe", "random"))]
)
def test_a_search_that_the_file_names_is_not_changed_silently(began: str, now: str):
    record = replace(make_record(), spec=parse_spec(began), study_file=began)
    spec = with_defaults_as_begun(record, parse_spec(now), now)
    with raises("study-file.study-changed") as caught:
        check_unchanged(record, spec)
    assert "search.algorithm" in str(caught.value)


@pytest.mark.parametrize(
    "resources",
    [
        '[resources]\nexecutor = "ray"\nworkers = 8\n[resources.ray]\naddress = "head:6379"\n',
        '[resources]\nexecutor = "remote"\nfiles = ["a.npy"]\n[resources.remote]\nbind = "0.0.0.0:4733"\n',
        '[resources]\nexecutor = "slurm"\nworkers = 8\n[resources.slurm]\npartition = "gpu"\n',
    ],
)
def test_where_the_workers_run_is_no_part_of_a_study(resources: str):
    record = replace(make_record(), spec=parse_spec(FILE), study_file=FILE)
    check_unchanged(record, parse_spec(FILE + resources))
