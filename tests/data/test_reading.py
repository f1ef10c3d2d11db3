"""The boundary of data files: whatever their bytes, what comes out is a data set or a ``DataError``."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hpsearch.data import load_dataset
from hpsearch.errors import DataError
from hpsearch.spec import parse_spec
from tests.raising import raises

STUDY = """
name = "bytes"
[data]
source = "{source}"
{more}
[model]
family = "mlp"
[objective]
metric = "val_loss"
direction = "minimize"
"""

TABLE = pd.DataFrame({"a": np.arange(30) * 0.5, "y": [0, 1] * 15})


def load(path: Path, more: str = 'target = "y"'):
    return load_dataset(parse_spec(STUDY.format(source=path, more=more), folder=path.parent))


def npz(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return path


def array(values: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(values), allow_pickle=True)
    return stream.getvalue()


def announcing(shape: str, kind: str = "<f8") -> bytes:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 64


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz"])
@pytest.mark.parametrize(
    "data",
    [b"\x00" * 100, b"\xff\xfe\xfd" * 40, b"PK\x03\x04" + b"x" * 40, b"PAR1" + b"\xff" * 40 + b"PAR1", b"PK\x05\x06"],
    ids=["zeros", "noise", "zip", "parquet", "empty zip"],
)
def test_files_of_other_bytes_are_refused(tmp_path: Path, suffix: str, data: bytes) -> None:
    path = tmp_path / f"data{suffix}"
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        load(path)
    assert caught.value.code in ("data.unreadable-file", "data.other-format", "data.bad-encoding", "data.no-rows",
                                 "data.several-problems", "data.unknown-column")  # fmt: skip
    assert "report it" not in caught.value.hint


def test_a_file_cut_short_anywhere_is_refused_or_read(tmp_path: Path) -> None:
    TABLE.to_parquet(tmp_path / "whole.parquet")
    np.savez(tmp_path / "whole.npz", x=TABLE[["a"]], y=TABLE["y"])
    for suffix in (".parquet", ".npz"):
        whole, path = (tmp_path / f"whole{suffix}").read_bytes(), tmp_path / f"cut{suffix}"
        for end in range(0, len(whole), len(whole) // 25):
            path.write_bytes(whole[:end])
            with raises("data.unreadable-file", path=str(path)):
                load(path)


@pytest.mark.parametrize(
    ("members", "code", "words"),
    [
        ({"x": announcing("(10**12,)"), "y": array([0, 1])}, "unreadable-file", "'x.npy' is damaged"),
        ({"x": announcing("(1000000000000, 9)"), "y": array([0, 1])}, "too-large", "announces an array 'x.npy'"),
        ({"x": announcing("(4000000,)"), "y": array([0, 1])}, "unreadable-file", "cut short"),
        ({"x": announcing("(-1,)"), "y": array([0, 1])}, "unreadable-file", "cannot be read as NPZ"),
        ({"x": announcing("(4,)", "hugo"), "y": array([0, 1])}, "unreadable-file", "'x.npy' is damaged"),
        ({"x": array([{}, {}]), "y": array([0, 1])}, "unreadable-file", "Python objects"),
        ({"x": b"text", "y": array([0, 1])}, "missing-arrays", "but has y"),
        ({"x": array(np.zeros((4, 0))), "y": array([0, 1, 0, 1])}, "no-inputs", "no input column"),
    ],
)  # fmt: skip
def test_arrays_are_believed_only_as_far_as_their_bytes_go(
    tmp_path: Path, members: dict[str, bytes], code: str, words: str
) -> None:
    with raises(f"data.{code}") as caught:
        load(npz(tmp_path / "data.npz", **members), "")
    assert words in caught.value.what


def test_a_file_beside_the_arrays_is_no_array(tmp_path: Path) -> None:
    path = npz(tmp_path / "data.npz", x=array(np.eye(30)), y=array([0, 1] * 15))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("README.txt", "about x and y")
    assert len(load(path, "").train) == 30


def test_both_parts_need_targets_of_one_shape(tmp_path: Path) -> None:
    labels = (np.arange(40).reshape(20, 2) % 3) % 2
    three = np.hstack([labels, labels[:, :1]])
    np.savez(tmp_path / "data.npz", x=np.eye(20), y=three, x_test=np.eye(20), y_test=labels)
    with raises("data.shape-mismatch", shape=(3,), test_shape=(2,)):
        load(tmp_path / "data.npz", 'task = "multilabel"')


def test_a_table_that_announces_more_than_memory_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    TABLE.to_parquet(tmp_path / "data.parquet")
    monkeypatch.setattr("hpsearch.data.reading.memory_bytes", lambda: 100)
    with raises("data.too-large", bytes=30 * 2 * 8):
        load(tmp_path / "data.parquet")


def test_columns_that_parquet_has_twice_are_named(tmp_path: Path) -> None:
    columns = [pa.array([1, 2]), pa.array([1, 2])]
    pq.write_table(pa.Table.from_arrays(columns, names=["y", "y"]), tmp_path / "data.parquet")
    with raises("data.duplicate-column", column="y"):
        load(tmp_path / "data.parquet")


def test_values_beyond_64_bits_in_cells(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    large = ["9223372036854775808", "18446744073709551616", "9" * 400, "1e999", "9" * 5_000, "-9223372036854775809"]
    codes = []
    for cell in large:
        path.write_text("a,b,y\n" + "".join(f"{cell if i == 7 else i},{i},{i % 2}\n" for i in range(30)))
        try:
            load(path)
            codes.append("read")
        except DataError as error:
            codes.append(error.code)
    assert set(codes) <= {"read", "data.text-in-numbers", "data.not-finite"}


def test_long_cells_and_names_are_cut_in_messages(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    for name, cell in (("n" * 500_000, "x"), ("a", "z" * 500_000)):
        rows = "".join(f"{i if i % 9 else cell},{i % 2}\n" for i in range(30))
        path.write_text(f"{name},y\n{rows}")
        with pytest.raises(DataError) as caught:
            load(path)
        assert len(caught.value.what) < 500


def test_a_row_of_a_million_separators_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("," * 1_000_000 + "\n1\n")
    with raises("data.too-many-columns", columns=1_000_001):
        load(path)


def test_options_of_the_wrong_kind(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    TABLE.to_csv(path, index=False)
    options = {"categories": "5", "sep": "5", "encoding": '"nothing"', "decimal": "[1]", "thousands": "true",
               "header": "'x'", "comment": "3"}  # fmt: skip
    for name, value in options.items():
        with pytest.raises(DataError) as caught:
            load(path, f'target = "y"\noptions = {{ {name} = {value} }}')
        assert caught.value.code in ("data.bad-option", "data.unreadable-file"), (name, caught.value)


@pytest.mark.parametrize("source", ["a" * 5_000 + ".csv", "~nobody-of-that-name/x.csv", "x\\u0000.csv"])
def test_names_that_no_file_can_have(tmp_path: Path, source: str) -> None:
    with raises("data.no-file") as caught:
        load_dataset(parse_spec(STUDY.format(source=source, more=""), folder=tmp_path))
    assert len(caught.value.what) < 1_500


def test_the_unexpected_is_an_error_of_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "data.csv"
    TABLE.to_csv(path, index=False)

    def fail(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("a row of nobody")

    with monkeypatch.context() as patched:
        patched.setattr(pd, "read_csv", fail)
        with raises("data.unreadable-file", format="CSV"):
            load(path)
    monkeypatch.setattr("hpsearch.data.prepare", fail)
    with raises("data.unusable-data", source=str(path)) as caught:
        load(path)
    assert "ZeroDivisionError: a row of nobody" in caught.value.what
