"""What travels between machines comes back as it was, and nothing else comes out of bytes."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from hpsearch.core.events import Bundle, EpochFinished, Lane, LaneFailed, LaneFinished, ModelMeasured
from hpsearch.core.space import Choice, Float, Int
from hpsearch.core.trial import Failure, FailureKind, FoldResult
from hpsearch.errors import DataError, ExecutorError
from hpsearch.executors.far_messages import Open, Part, StudyFile
from hpsearch.executors.messages import Call, Raised, Returned, Stop, Train
from hpsearch.executors.wire import from_bytes, relocated, to_bytes
from hpsearch.spec import parse_spec
from hpsearch.testing.contracts.lanes import make_spec
from hpsearch.training.protocol import RefitOrder, ToRefit

CONFIG = {"units": 8, "optimizer": "adam", "flag": True, "rate": 0.1}


@pytest.mark.parametrize(
    "message",
    [
        Train(Bundle(3, (Lane(1, 0, CONFIG), Lane(1, 1, CONFIG)))),
        Train(Bundle(3, (Lane(1, 0, CONFIG),), measure=(1,))),
        ModelMeasured(1, 1234, {"parameters": 1234.0, "latency_ms": 0.25}),
        Stop(frozenset({1, 2})),
        EpochFinished(1, 0, 2, {"val_loss": 0.1 + 0.2, "loss": float("inf")}),
        LaneFinished(1, FoldResult(0, {"loss": (1.0, 1e-300)}, started=5.0, seconds=2.5), 17),
        LaneFailed(1, 0, Failure(FailureKind.OUT_OF_MEMORY, "no memory", epoch=3, traceback="at\n\ud800")),
        Call("refit", (RefitOrder((ToRefit(1, CONFIG, 4),), Path("/a/b"), 5.5),), {"x": None}),
        Returned({"units": Int(8, 64, step=8), "rate": Float(0.1, 1.0, log=True), "how": Choice(("a", 1, None))}),
        Part("study", "data/é.npy", 0, bytes(range(256)) * 9, last=True),
        Part("study", "empty", 5, b"", last=True),
    ],
)
def test_messages_come_back_as_they_were(message) -> None:
    assert from_bytes(to_bytes(message)) == message


def test_numbers_of_numpy_are_numbers() -> None:
    found = from_bytes(to_bytes(EpochFinished(0, 0, 0, {"loss": np.float32(0.5), "n": np.int64(3)})))
    assert found.metrics == {"loss": 0.5, "n": 3}


def test_errors_keep_class_code_and_values() -> None:
    error = DataError("no rows", code="empty", hint="add some", source="a.csv", odd=object())
    found = from_bytes(to_bytes(Raised(error))).error
    assert type(found) is DataError
    assert (found.what, found.code, found.hint, found.values["source"]) == (
        "no rows",
        "data.empty",
        "add some",
        "a.csv",
    )
    assert found.values["odd"].startswith("<object object")


def test_a_study_file_travels_without_its_addresses() -> None:
    text = """
name = "secret"
[data]
source = "sklearn:iris"
[model]
family = "mlp"
[objective]
metric = "val_loss"
[tracking]
uri = "https://me:hunter2@mlflow.example.org"
ledger = "postgresql://me:hunter2@db/ledger"
"""
    message = Open(parse_spec(text), "jax", None, True, (StudyFile("a.csv", 3, "00"),))
    raw = to_bytes(message)
    assert b"hunter2" not in raw
    assert b"example.org" not in raw
    found = from_bytes(raw)
    assert found.spec.name == "secret"
    assert found.files == message.files


def test_a_study_file_keeps_its_folder() -> None:
    spec = make_spec().model_copy(update={"folder": "/some/where"})
    assert from_bytes(to_bytes(Open(spec, "jax", 2, False, ()))).spec.folder == "/some/where"


class Mean:
    def __reduce__(self):
        return (Path.touch, (Path("/tmp/hpsearch-was-here"),))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00\x00\x00\x05{",
        pickle.dumps(Mean()),
        b'\x00\x00\x00\x22{"type":"Popen","fields":{"args":1}}',
        b'\x00\x00\x00\x1f{"type":"Alive","fields":{"a":1}}',
        b'\x00\x00\x00\x0e{"error":"os"}    ',
        b"\x00\x00\x10\x00" + b"[" * 4096,
    ],
)
def test_other_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises(ExecutorError, match="a message from another machine cannot be read"):
        from_bytes(raw)
    assert not Path("/tmp/hpsearch-was-here").exists()


def test_what_no_signature_names_does_not_travel() -> None:
    with pytest.raises(TypeError, match="Mean cannot travel to another machine"):
        to_bytes(Returned(Mean()))


def test_paths_move_with_their_folder() -> None:
    call = Call(
        "refit", (RefitOrder((), Path("/home/study")),), {"a": "/home/study/x", "b": "/home/studying", "c": "y"}
    )
    moved = relocated(call, Path("/home/study"), Path("/tmp/away"))
    assert moved.args[0].folder == Path("/tmp/away")
    assert moved.kwargs == {"a": "/tmp/away/x", "b": "/home/studying", "c": "y"}
    error = relocated(Raised(DataError("cannot write /tmp/away/x", code="c")), Path("/tmp/away"), Path("/home/study"))
    assert (error.error.what, error.error.code) == ("cannot write /home/study/x", "data.c")
