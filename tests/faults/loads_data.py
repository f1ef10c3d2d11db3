"""Data files that nobody means: small CSV, Parquet and NPZ files with cells, headers, types and bytes changed."""

import io
import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy[Any]], Any]


@dataclass(frozen=True)
class DataFile:
    """A file and what a study file says about it."""

    suffix: str
    data: bytes
    section: dict[str, object] = field(default_factory=dict)


_CELLS = (
    "", " ", "NA", "nan", "None", "inf", "-inf", "1e999", "1" + "0" * 400, "9" * 5_000, "9223372036854775808",
    "18446744073709551616", "-9223372036854775809", "9007199254740993", "0x1F", "007", "1,5", "1.234,5", "1_000",
    "True", "true", "2024-05-31", "2024-13-45", "12:30", "24:61", "9999999-01-01", "1/2/3", "a" * 200, "z" * 200_000,
    '"', '""', '"unclosed', "a\nb", "a\rb", "a,b", "a;b", "a\tb", "\x00", "\ufeff", "\u202e", "🦊", "é", "#",
    "=1+1", "5 %", "€ 3", "?",
)  # fmt: skip
CELL = st.one_of(st.sampled_from(_CELLS), st.text(max_size=8), st.integers().map(str), st.floats().map(str))
_SELDOM = st.sampled_from([False] * 7 + [True])
NAMES = ("age", "city", "size", "when", "id", "y")


def _rows(count: int) -> list[list[str]]:
    cities = ["Rome", "Oslo", "Bonn"]
    return [
        [str(20 + i % 7), cities[i % 3], f"{i * 0.37:.2f}", f"2024-01-{1 + i % 28:02d}", str(i), str(i % 2)]
        for i in range(count)
    ]


@st.composite
def _sections(draw: Draw, names: tuple[str, ...]) -> dict[str, object]:
    """A ``[data]`` section; sometimes wrong."""
    column = _SELDOM.flatmap(lambda odd: CELL if odd else st.sampled_from(names))
    found: dict[str, object] = {"target": draw(column) if draw(_SELDOM) else names[-1]}
    ignored = draw(st.lists(column, max_size=2)) if draw(_SELDOM) else []
    found["ignore"] = [*ignored, *(["when"] if "when" in names and draw(st.sampled_from([True] * 6 + [False])) else [])]
    optional: dict[str, st.SearchStrategy[Any]] = {
        "group": column,
        "time": column,
        "task": st.sampled_from(["regression", "binary", "multiclass", "multilabel"]),
        "missing_targets": st.just("drop"),
        "duplicates": st.just("group"),
        "labels": st.just("one-hot"),
        "unit": st.sampled_from([1e-300, 1e300, 2.0]),
        "max_rows": st.integers(2, 30),
        "options": st.dictionaries(
            st.sampled_from(
                ["categories", "sep", "decimal", "thousands", "encoding", "na_values", "comment", "header"]
            ),
            st.one_of(
                st.sampled_from(
                    [5, True, "", ";", ",", ".", "#", "utf-16", "cp1252", "nothing", "\\s+", "((", "\x00", "💥"]
                ),
                st.lists(st.one_of(column, st.integers()), max_size=2),
            ),
            max_size=2,
        ),
    }
    for name in draw(st.lists(st.sampled_from([*optional]), max_size=draw(st.sampled_from([0, 0, 1, 2])), unique=True)):
        found[name] = draw(optional[name])
    if found.get("group") is not None and "time" in found:
        del found["time"]
    return found


@st.composite
def csv_files(draw: Draw) -> DataFile:
    """A CSV or TSV file."""
    header, rows = [*NAMES], _rows(draw(st.sampled_from([40, 40, 40, 12, 12, 12, 3, 1, 0])))
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2, 3]))):
        kind = draw(
            st.sampled_from(
                ["cell", "cell", "column", "header", "cell", "cell", "short", "long", "twice", "blank", "nameless"]
            )
        )
        column = draw(st.integers(0, len(header) - 1))
        row = draw(st.integers(0, max(0, len(rows) - 1)))
        if kind == "header":
            header[column] = draw(CELL)
        elif kind == "twice":
            header[column] = header[0]
        elif kind == "nameless":
            header[column] = ""
        elif kind == "column":
            cell = draw(CELL)
            rows = [[cell if i == column else one for i, one in enumerate(cells)] for cells in rows]
        elif rows and kind == "cell":
            rows[row] = [draw(CELL) if i == column else one for i, one in enumerate(rows[row])]
        elif rows:
            rows[row] = {"short": rows[row][:column], "long": [*rows[row], "x"], "blank": []}[kind]
    separator = draw(st.sampled_from([*"," * 24, ";", "\t", "|"]))
    quote = not draw(_SELDOM)
    lines = [separator.join(_quoted(cell, separator) if quote else cell for cell in cells) for cells in [header, *rows]]
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    encoding = draw(st.sampled_from([*["utf-8"] * 12, "utf-8-sig", "utf-16", "cp1252"]))
    data = (end.join(lines) + end).encode(encoding, "replace")
    suffix = ".tsv" if separator == "\t" and draw(st.booleans()) else ".csv"
    return DataFile(suffix, _noise(draw, data), draw(_sections(tuple(NAMES))))


def _quoted(cell: str, separator: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if any(one in cell for one in f'{separator}"\n\r') else cell


_COLUMNS: dict[str, Callable[[int], list[Any]]] = {
    "whole": lambda i: [i, pa.int64()],
    "large": lambda i: [2**63 + i, pa.uint64()],
    "real": lambda i: [[i * 0.5, math.nan, math.inf][i % 3], pa.float64()],
    "half": lambda i: [np.float16(i), pa.float16()],
    "text": lambda i: ["abc"[i % 3], pa.string()],
    "long": lambda i: ["x" * 10_000 + str(i % 2), pa.large_string()],
    "free": lambda i: [f"text {i}", pa.string()],
    "truth": lambda i: [i % 2 == 0, pa.bool_()],
    "gaps": lambda i: [None if i % 3 else i, pa.int32()],
    "empty": lambda i: [None, pa.null()],
    "bytes": lambda i: [b"\xff\xfe", pa.binary()],
    "date": lambda i: [date(2024, 1, 1 + i % 28), pa.date32()],
    "moment": lambda i: [datetime(2024, 1, 1, i % 24), pa.timestamp("ns", tz="UTC")],
    "early": lambda i: [-(10**13) - i, pa.timestamp("ms")],
    "span": lambda i: [timedelta(seconds=i), pa.duration("s")],
    "clock": lambda i: [time(i % 24), pa.time64("us")],
    "money": lambda i: [Decimal(i) / 4, pa.decimal128(38, 4)],
    "list": lambda i: [[i, i + 1][: i % 3], pa.list_(pa.int64())],
    "struct": lambda i: [{"a": i, "b": "x"}, pa.struct([("a", pa.int64()), ("b", pa.string())])],
    "map": lambda i: [[("k", i)], pa.map_(pa.string(), pa.int64())],
    "codes": lambda i: ["uvw"[i % 3], pa.dictionary(pa.int8(), pa.string())],
    "empties": lambda i: [["", " ", "a"][i % 3], pa.string()],
}


@st.composite
def parquet_files(draw: Draw) -> DataFile:
    """A Parquet file."""
    count = draw(st.sampled_from([40, 40, 40, 12, 12, 12, 3, 1, 0]))
    kinds = draw(st.lists(st.sampled_from([*_COLUMNS]), min_size=1, max_size=4))
    names, columns = [], []
    for place, kind in enumerate(
        [*kinds, draw(st.sampled_from(["truth", "text", "real", "whole", "list", "empty", "gaps"]))]
    ):
        cells = [_COLUMNS[kind](i) for i in range(count)]
        columns.append(pa.array([value for value, _ in cells], _COLUMNS[kind](0)[1]))
        names.append(draw(st.sampled_from([*[f"{kind}{place}"] * 12, kind, "", "a/b", "x" * 300])))
    names[-1] = "y"
    stream = io.BytesIO()
    compression = draw(st.sampled_from(["none", "snappy", "zstd", "gzip"]))
    pq.write_table(pa.Table.from_arrays(columns, names=names), stream, compression=compression)
    return DataFile(".parquet", _noise(draw, stream.getvalue()), draw(_sections(tuple(names))))


_ARRAYS: dict[str, Callable[[int], Any]] = {
    "real": lambda n: np.arange(n * 3, dtype=float).reshape(n, 3),
    "images": lambda n: np.zeros((n, 4, 4), dtype=np.uint8),
    "classes": lambda n: np.arange(n) % 2,
    "amounts": lambda n: np.linspace(0, 1, n),
    "one-hot": lambda n: np.eye(3)[np.arange(n) % 3],
    "labels": lambda n: np.arange(n * 3).reshape(n, 3) % 2,
    "texts": lambda n: np.array(["a", "b"] * n)[:n],
    "bytes": lambda n: np.array([b"\xff", b"b"] * n)[:n],
    "objects": lambda n: np.array([None, {}] * n, dtype=object)[:n],
    "complex": lambda n: np.ones(n, dtype=complex),
    "dates": lambda n: np.arange(n).astype("datetime64[D]"),
    "record": lambda n: np.zeros(n, dtype=[("a", "i4"), ("b", "f8")]),
    "single": lambda n: np.array(3.0),
    "gaps": lambda n: np.where(np.arange(n) % 3 == 0, np.nan, 1.0),
    "huge": lambda n: np.full(n, 1e300),
    "large": lambda n: np.full(n, 2**63, dtype=np.uint64) + np.arange(n, dtype=np.uint64),
    "long": lambda n: np.ones((n, 2), dtype=np.longdouble),
    "thin": lambda n: np.zeros((n, 0)),
    "deep": lambda n: np.zeros((n, *[1] * 30)),
    "truth": lambda n: np.arange(n) % 2 == 0,
    "swapped": lambda n: np.arange(n, dtype=">f8"),
    "void": lambda n: np.zeros(n, dtype="V5"),
}


@st.composite
def npz_files(draw: Draw) -> DataFile:
    """An NPZ file."""
    count = draw(st.sampled_from([40, 40, 40, 12, 12, 12, 3, 1, 0]))
    likely = {"x": ["real", "images", "real"], "y": ["classes", "amounts", "one-hot", "labels", "texts"]}
    arrays = {}
    for name in draw(
        st.sampled_from([("x", "y"), ("x", "y"), ("x_train", "y_train"), ("x", "y", "x_test", "y_test"), ("a",)])
    ):
        kinds = likely.get(name[:1], [*_ARRAYS])
        kind = draw(st.one_of(st.sampled_from(kinds), st.sampled_from([*_ARRAYS])))
        arrays[name] = _ARRAYS[kind](max(0, count + draw(st.sampled_from([0, 0, 0, 0, -1, 5]))))
    stream = io.BytesIO()
    packed = draw(st.booleans())
    (np.savez_compressed if packed else np.savez)(stream, **arrays)
    if draw(_SELDOM):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
            for name in arrays:
                archive.writestr(f"{name}.npy", draw(_forged()))
            archive.writestr(draw(st.sampled_from(["README.txt", "../x.npy", "x.npy", "folder/"])), b"hello")
    section = {
        key: value for key, value in draw(_sections(("x", "y"))).items() if key not in ("target", "ignore", "options")
    }
    return DataFile(".npz", _noise(draw, stream.getvalue()), section)


@st.composite
def _forged(draw: Draw) -> bytes:
    """An array whose header tells something else than its bytes."""
    shape = draw(
        st.sampled_from(["(4,)", "(10**12,)", "(1000000000000,)", "(9223372036854775807, 9)", "(-1,)", "(2, 3",
                         "('a',)", "(4, 0)", "(200000000,)", "(0, 999999999999999)", "(True,)", "[4]", "5"])
    )  # fmt: skip
    kind = draw(st.sampled_from(["<f8", "|O", "<U100", "V0", "S0", "hugo", "<M8[ns]", "[('a', '<f8')]", "|b1"]))
    header = (
        f"{{'descr': '{kind}', 'fortran_order': {draw(st.sampled_from(['False', 'True', '5']))}, 'shape': {shape}, }}"
    )
    if draw(st.integers(0, 5)) == 0:
        header = draw(st.sampled_from(["{" * 200, "[" * 5_000, "{}", "1", "", "(" * 90 + ")" * 90]))
    version = draw(st.sampled_from([b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x00"]))
    size = len(header).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    return (
        b"\x93NUMPY" + version + size + header.encode() + draw(st.sampled_from([b"", b"\x00" * 32, b"\x00" * 10_000]))
    )


def _noise(draw: Draw, data: bytes) -> bytes:
    """Bytes changed, in a third of all files."""
    for _ in range(draw(st.sampled_from([0, 0, 0, 0, 1, 3]))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        if draw(st.booleans()):  # at the ends, where formats have their marks and sizes
            at = draw(st.sampled_from([0, 4, max(0, len(data) - 8), max(0, len(data) - 30)]))
        noise = draw(
            st.one_of(st.binary(min_size=1, max_size=4), st.sampled_from([b"\xff" * 4, b"\x00" * 4, b'"', b"\n"]))
        )
        kind = draw(st.sampled_from(["replace", "replace", "insert", "cut", "drop", "double", "other"]))
        data = {
            "replace": data[:at] + noise + data[at + len(noise) :],
            "insert": data[:at] + noise + data[at:],
            "cut": data[:at],
            "drop": data[:at] + data[at + 7 :],
            "double": data[:at] + data[max(0, at - 50) :],
            "other": draw(st.sampled_from([b"PK\x03\x04", b"PAR1", b"\x1f\x8b", b"\x93NUMPY"])) + data,
        }[kind]
    return data


data_files = st.one_of(csv_files(), parquet_files(), npz_files())
