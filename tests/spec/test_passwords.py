"""No message about a study file shows a password, and no value of ``[tracking]``."""

import json
import traceback

import pytest

from hpsearch.errors import SpecError
from hpsearch.ledger.codec import spec_from_json, spec_to_json
from hpsearch.spec import parse_spec
from tests.spec.test_spec import GOOD

SECRET = "hunter2"


@pytest.mark.parametrize(
    "section",
    [
        f'uri = ["postgresql://me:{SECRET}@db/x"]',
        f'uri = {{ address = "postgresql://me:{SECRET}@db/x" }}',
        f'uri = "postgrsql://me:{SECRET}@db/x"',
        f'uri = "postgresql://me:{SECRET}@{SECRET}@db/x"',
        f'ledger = "oracle://me:{SECRET} {SECRET}@db/x"',
        f'ledger = "postgresql://me:{SECRET}@a:1,b:2/x"',
        f'ledgr = "postgresql://me:{SECRET}@db/x"',
        f'password = "{SECRET}"',
        f'predictions = "{SECRET}"',
        f'system_metrics = "{SECRET}"',
        f'artifacts = [["sftp://me:{SECRET}@host"]]',
        f'uri = "http://${{HPSEARCH_NOT_SET}}:{SECRET}@host"',
    ],
)
def test_no_mistake_in_tracking_shows_a_value(section: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(f"{GOOD}[tracking]\n{section}\n")
    assert SECRET not in f"{caught.value!r} {caught.value} {caught.value.values}"
    assert "".join(map(str, traceback.format_exception(caught.value))).count(SECRET) == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[data]", f'tracking = "postgresql://me:{SECRET}@db/x"\n[data]'),
        ("[data]", f'uri = "postgresql://me:{SECRET}@db/x"\n[data]'),
        ("[data]", f'traking = {{ uri = ["postgresql://me:{SECRET}@db/x"] }}\n[data]'),
        ('name = "good"', f'name = "postgresql://me:{SECRET}@db/x"'),
        ("[data]", f'seed = "postgresql://me:{SECRET}@db/x"\n[data]'),
        ("[space]", f'[search]\nstorage = "postgresql://me:{SECRET}@db/x"\n[space]'),
        ("[space]", f'[space]\ndropout = "postgresql://me:{SECRET}@db/x"'),
    ],
)
def test_no_mistake_elsewhere_shows_a_password(old: str, new: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(GOOD.replace(old, new, 1))
    shown = f"{caught.value!r} {caught.value} {caught.value.values['problems']}"
    assert SECRET not in shown


def test_a_study_with_a_password_shows_it_nowhere() -> None:
    text = f'{GOOD}[tracking]\nuri = "postgresql://me:{SECRET}@db/x" # MLflow\nledger = "sqlite:///a.db"\n'
    spec = parse_spec(text)
    assert SECRET not in f"{spec!r} {spec} {spec.model_dump()} {spec.model_dump_json()} {spec.tracking.doubts()}"
    assert spec.tracking.hide_in(text) == text.replace(SECRET, "***")
    assert parse_spec(GOOD).tracking.hide_in(GOOD) == GOOD
    assert len(spec.tracking.doubts()) == 1
    escaped = text.replace("postgresql:", "postgresql\\u003a")
    assert parse_spec(escaped) == spec
    assert SECRET not in spec.tracking.hide_in(escaped)
    assert json.loads(json.dumps(spec_to_json(spec)))["tracking"]["uri"] == f"postgresql://me:{SECRET}@db/x"
    assert spec_from_json(spec_to_json(spec)).tracking == spec.tracking
