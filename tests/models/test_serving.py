"""Files for other runtimes: one that does not run is not left behind."""

from pathlib import Path

from hpsearch.models import serving


def test_what_fails_leaves_no_file_not_even_an_earlier_one(tmp_path: Path) -> None:
    target = tmp_path / "champion.onnx"
    target.write_text("of an earlier export")

    def write(_: object, path: Path) -> str:
        assert not path.exists()
        path.write_text("does not run")
        raise RuntimeError("no such operator\nand more")

    assert serving.attempted(write, None, target) == "not written: no such operator"
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_installed_is_named(tmp_path: Path) -> None:
    def write(_: object, path: Path) -> str:
        raise ModuleNotFoundError("no", name="tf2onnx")

    told = serving.attempted(write, None, tmp_path / "champion.onnx")
    assert told == "not written: tf2onnx is not installed: pip install 'hpsearch[onnx]'"
