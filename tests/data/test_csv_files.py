"""CSV files that are not what they seem: read as what they are, or refused with the place and what to do."""

import numpy as np
import pandas as pd
import pytest

from hpsearch.data.csv_files import CsvFile
from hpsearch.portable.cells import MISSING, category_code, inputs_of
from hpsearch.portable.columns import Column
from tests.raising import raises

ROWS = "a,b,y\n" + "".join(f"{i}.5,{'pq'[i % 2]},{i % 3}.25\n" for i in range(12))


@pytest.mark.parametrize(
    ("text", "code", "values"),
    [
        ("a,b,y\n1,2,3,late\n4,5,6,ok\n", "ragged-row", {"line": 2, "found": 4, "wanted": 3}),
        ("a,b,y\n1,2,3\n4,5,6,7\n", "ragged-row", {"line": 3, "found": 4, "wanted": 3}),
        ("a,b,y\n1,2,3\n4,5\n", "ragged-row", {"line": 3, "found": 2, "wanted": 3}),
        ('a,b,y\n1,"2\n2",3\n4,5\n', "ragged-row", {"line": 4, "found": 2, "wanted": 3}),
        ("x,y,z,y\n1,0,2,1\n", "duplicate-column", {"column": "y"}),
        ("5.1,3.5,1.4\n4.9,3.0,1.5\n", "no-header", {"first": ("5.1", "3.5", "1.4")}),
        ("a;b;y\n1;2;3\n", "one-column", {"separator": ";"}),
        ("a\tb\ty\n1\t2\t3\n", "one-column", {"separator": "\t"}),
        ("\n\n", "empty-file", {}),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, load, text, code, values):
    (tmp_path / "rows.csv").write_text(text)
    with raises(f"data.{code}", **values) as caught:
        load("rows.csv", target="y")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("encoding", "guess"), [("cp1252", "cp1252"), ("latin-1", "cp1252"), ("utf-16", "utf-16"), ("utf-8-sig", None)]
)
def test_encodings_are_named_or_read(tmp_path, load, encoding, guess):
    text = "Größe,y\n" + "".join(f"{i}.5,{'äö'[i % 2]}\n" for i in range(12))
    (tmp_path / "rows.csv").write_text(text, encoding=encoding)
    if guess is not None:
        with raises("data.bad-encoding", guess=guess) as caught:
            load("rows.csv", target="y")
        assert f'encoding = "{guess}"' in caught.value.hint
    dataset = load("rows.csv", target="y", options={} if guess is None else {"encoding": guess})
    assert (list(dataset.train.x), dataset.classes) == (["Größe"], ("ä", "ö"))


def test_a_file_without_names_is_read_if_it_says_so(tmp_path, load):
    (tmp_path / "rows.csv").write_text("5.1,3.5,1.4\n4.9,3.0,1.5\n4.7,3.2,1.3\n")
    dataset = load("rows.csv", target="2", options={"header": False})
    assert (list(dataset.train.x), len(dataset.train)) == (["0", "1"], 3)
    named = load("rows.csv", target="1.4", options={"header": True})
    assert (list(named.train.x), len(named.train)) == (["5.1", "3.5"], 2)
    with raises("data.bad-option", option="header", value="no"):
        load("rows.csv", target="2", options={"header": "no"})


def test_numbers_as_names_are_those_of_a_frame_without_names(tmp_path, load):
    pd.DataFrame(np.arange(12.0).reshape(4, 3) ** 2).to_csv(tmp_path / "rows.csv", index=False)
    assert (len(load("rows.csv", target="2").train), load("rows.csv", target="2").warnings) == (4, ())


def test_words_for_nothing_are_empty_in_numbers_and_texts_in_texts(tmp_path, load):
    text = "n,country,y\n" + "".join(f"{'NA' if i == 3 else i},{('NA', 'DE')[i % 2]},{i}.5\n" for i in range(6))
    (tmp_path / "rows.csv").write_text(text + "7,,7.5\n")
    dataset = load("rows.csv", target="y")
    assert np.isnan(dataset.train.x["n"]).nonzero()[0].tolist() == [3]
    codes = dataset.train.x["country"].tolist()
    assert codes == [category_code(("NA", "DE")[i % 2]) for i in range(6)] + [MISSING]
    without = load("rows.csv", target="y", options={"na_values": ["NA"]}).train.x["country"].tolist()
    assert without == [MISSING, category_code("DE")] * 3 + [MISSING]


def test_a_column_read_later_has_the_cells_of_training(tmp_path):
    columns = (
        Column("code", "category", "text"),
        Column("flag", "category", "text"),
        Column("none", "category", "text"),
        Column("n", "number", "number"),
    )
    path = tmp_path / "rows.csv"
    path.write_text("n,code,flag,none,more\n1,007,true,None,x\nNA,012,false,,y\n")
    frame = CsvFile(path, {}).read_like(columns)
    assert frame["code"].tolist() == ["007", "012"]
    assert frame["flag"].tolist() == ["true", "false"]
    assert frame["none"].isna().tolist() == [False, True]
    assert frame["n"].isna().tolist() == [False, True]
    # hpsearch 0.1 took every word for "empty", and cells that it was told to treat as categories for numbers.
    before = CsvFile(path, {}).read_like(columns, inferred=["code"])
    assert before["code"].tolist() == [7, 12]
    assert before["none"].isna().all()
    path.write_text("n,code,flag,none\n1,007,true,None,x\n")
    with raises("data.ragged-row", line=2):
        CsvFile(path, {}).read_like(columns)
    path.write_text("n,code,flag,none,n\n1,007,true,None,2\n")
    with raises("data.duplicate-column", column="n"):
        CsvFile(path, {}).read_like(columns)


def test_no_row_is_lost(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("x\n-1\n\n1\n")
    assert CsvFile(path, {}).read_like((Column("x", "number", "number"),))["x"].isna().tolist() == [False, True, False]
    path.write_text("1,2\n3,4\n")
    assert CsvFile(path, {}).read_numbers().to_numpy().tolist() == [[1, 2], [3, 4]]
    path.write_text("0,1\n3,4\n")
    assert CsvFile(path, {}).read_numbers().to_numpy().tolist() == [[3, 4]]
    path.write_text("p0,p1\n3,4\n")
    assert CsvFile(path, {}).read_numbers().to_numpy().tolist() == [[3, 4]]


def test_numbers_that_are_written_as_codes_are_doubted(tmp_path, load):
    (tmp_path / "rows.csv").write_text("zip,n,y\n01234,3,0.5\n90210,3,1.5\n10001,1,1\n")
    (warning,) = load("rows.csv", target="y").warnings
    assert "column 'zip' is read as numbers, but has leading zeros, such as 01234" in warning
    codes = load("rows.csv", target="y", options={"categories": ["zip"]})
    assert (codes.train.x["zip"].tolist(), codes.warnings) == ([*map(category_code, ["01234", "90210", "10001"])], ())


@pytest.mark.parametrize(
    ("cells", "words"), [(["1,000", "12,500", "7"], 'thousands = ","'), (["1,5", "12,25", "7"], '{ decimal = "," }')]
)
def test_commas_in_numbers_have_two_meanings(tmp_path, load, cells, words):
    (tmp_path / "rows.csv").write_text("a,y\n" + "".join(f'"{cell}",{i}.5\n' for i, cell in enumerate(cells * 4)))
    with raises("data.decimal-comma", column="a") as caught:
        load("rows.csv", target="y")
    assert words in caught.value.hint


def test_separators_of_several_characters(tmp_path, load):
    (tmp_path / "rows.csv").write_text("a;;y\n1;;0.5\n2;;1.5\n4;;2\n")
    assert load("rows.csv", target="y", options={"sep": ";;"}).train.x["a"].tolist() == [1, 2, 4]
    (tmp_path / "rows.csv").write_text("a   y\n1  0.5\n2 1.5\n4    2\n")
    assert load("rows.csv", target="y", options={"sep": r"\s+"}).train.x["a"].tolist() == [1, 2, 4]


def test_rows_of_numbers_keep_the_names_of_their_columns_for_messages(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a,b,\n1,many,3\n")
    assert list(CsvFile(path, {}).read_numbers()) == ["a", "b", "2"]
    path.write_text("a,a\n1,2\n")
    with raises("data.duplicate-column", column="a"):
        CsvFile(path, {}).read_numbers()


@pytest.mark.parametrize(
    ("x", "hint"),
    [
        ([*(f"{i}.5" for i in range(19)), '"1,129"'], 'thousands = ","'),
        ([*range(15), *(f"1 {100 + i}" for i in range(5))], 'thousands = " "'),
        ([*range(15), *(f"1'{100 + i}" for i in range(5))], 'thousands = "\'"'),
        ([*range(15), *(f"1\u202f{100 + i}" for i in range(5))], 'thousands = "\u202f"'),
        ([*range(15), *["many"] * 5], 'na_values = ["many"]'),
    ],
)
@pytest.mark.parametrize("target", [False, True])
def test_grouped_digits_in_some_rows_name_their_mark(tmp_path, load, x, hint, target):
    if target:  # as texts, 20 amounts would be 20 classes
        x = [f"{cell}.5" if isinstance(cell, int) else cell for cell in x]
    names = "y,other" if target else "x,y"
    (tmp_path / "rows.csv").write_text(f"{names}\n" + "".join(f"{cell},{i * i}.5\n" for i, cell in enumerate(x)))
    with raises("data.text-in-numbers", column="y" if target else "x") as caught:
        load("rows.csv", target="y")
    assert hint in caught.value.hint
    if "thousands" in hint:
        mark = hint[-2]
        dataset = load("rows.csv", target="y", options={"thousands": mark})
        assert (dataset.train.y if target else dataset.train.x["x"]).max() > 1000


def test_a_point_is_no_fraction_where_the_comma_is(tmp_path, load):
    rows = "".join(f"{i + 1}.{100 + i};{i * i},5\n" for i in range(12))
    (tmp_path / "rows.csv").write_text("x;y\n" + rows)
    options = {"sep": ";", "decimal": ","}
    with raises("data.decimal-point", column="x") as caught:
        load("rows.csv", target="y", options=options)
    assert 'thousands = "."' in caught.value.hint
    assert load("rows.csv", target="y", options={**options, "thousands": "."}).train.x["x"][0] == 1100
    (tmp_path / "rows.csv").write_text("x;y\n" + rows.replace(";", ",25;"))
    with raises("data.decimal-comma") as caught:
        load("rows.csv", target="y", options=options)
    assert caught.value.hint
    with raises("data.several-problems") as caught:
        load("rows.csv", target="y", options={"sep": ";"})
    both = caught.value.values["problems"]
    assert [(one.key, one.code) for one in both] == [("data.source", "data.decimal-comma")] * 2


def test_large_whole_numbers_stay_exact_beside_an_empty_cell(tmp_path, load):
    cells = ["", *(str(2**53 + 1 + 2 * i) for i in range(11))]
    (tmp_path / "rows.csv").write_text("x,y\n" + "".join(f"{cell},{i * i}.5\n" for i, cell in enumerate(cells)))
    (column,) = (dataset := load("rows.csv", target="y")).columns
    assert np.diff(dataset.train.x["x"][1:]).tolist() == [2] * 10
    assert any("such as 9007199254740993" in text for text in dataset.warnings)
    later = CsvFile(tmp_path / "rows.csv", {}).read_like((column,))
    np.testing.assert_array_equal(inputs_of(later["x"], column), dataset.train.x["x"])


@pytest.mark.parametrize(
    ("name", "start", "words"),
    [
        ("rows.csv", b"\x1f\x8b\x08", "gzip"),
        ("rows.csv", b"PK\x03\x04", "spreadsheet"),
        ("rows.tsv", b"PAR1", "Parquet"),
    ],
)
def test_a_file_of_another_format_is_called_by_its_name(tmp_path, load, name, start, words):
    (tmp_path / name).write_bytes(start + bytes(100))
    with raises("data.other-format") as caught:
        load(name, target="y")
    assert words in caught.value.what


def test_commas_in_a_file_of_tabs(tmp_path, load):
    (tmp_path / "rows.tsv").write_text(ROWS)
    with raises("data.one-column", separator=","):
        load("rows.tsv", target="y")


@pytest.mark.parametrize("ends", ["\r\n", "\r", "\n"])
def test_line_ends_of_every_system(tmp_path, load, ends):
    text = "x,c,y\n" + "".join(f'{i}.5,"two\nlines{i % 2}",{i * i}.5\n' for i in range(12))
    (tmp_path / "rows.csv").write_bytes(text.replace("5\n", f"5{ends}").replace("y\n", f"y{ends}").encode())
    dataset = load("rows.csv", target="y")
    assert (len(dataset.train), dataset.schema.categories["c"]) == (12, ("two\nlines0", "two\nlines1"))


def test_classes_may_be_numbers_and_texts(tmp_path, load):
    buses = [*map(str, range(30)), "N1", "N2"]
    (tmp_path / "rows.csv").write_text("x,y\n" + "".join(f"{i * i}.5,{buses[i % 32]}\n" for i in range(64)))
    assert len(load("rows.csv", target="y").classes) == 32
    versions = ["1.5", "2.0", "2.5", "beta"]
    (tmp_path / "rows.csv").write_text("x,y\n" + "".join(f"{i * i}.5,{versions[i % 4]}\n" for i in range(40)))
    with raises("data.text-in-numbers", column="y", row=3, count=10) as caught:
        load("rows.csv", target="y")
    assert 'task = "multiclass"' in caught.value.hint
    assert load("rows.csv", target="y", task="multiclass").classes == tuple(versions)
