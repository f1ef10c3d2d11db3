"""CSV files that are not what they seem: read as what they are, or refused with the place and what to do."""

import numpy as np
import pandas as pd
import pytest

from hpsearch.data.csv_files import CsvFile
from hpsearch.portable.cells import MISSING, category_code
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
