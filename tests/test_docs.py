"""What README and docs say is run: every ``bash``, ``python`` and ``toml`` block, in order, in a fresh folder."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from hpsearch.spec import parse_spec

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
README = ROOT / "README.md"


def blocks(path: Path, language: str) -> list[str]:
    return [body for found, body in BLOCK.findall(path.read_text(encoding="utf-8")) if found == language]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The README's study file and rows to predict, as a reader would have them."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "flowers.toml").write_text(blocks(README, "toml")[0])
    (folder / "new_rows.csv").write_text("a,b,c,d\n5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n")
    return folder


def commands(block: str) -> list[list[str]]:
    return [line.split("#")[0].split() for line in block.splitlines() if line.strip()]


def test_the_readmes_commands_work_in_order(folder: Path) -> None:
    (block,) = blocks(README, "bash")
    for command in commands(block):
        assert command[0] == "hpsearch"
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
    assert (folder / "handover" / "champion.keras").exists()
    assert (folder / "handover" / "saved_model" / "saved_model.pb").exists()
    parse_spec((folder / "next.toml").read_text())


def test_the_readmes_python_works_after_them(folder: Path) -> None:
    code = "\n".join(blocks(README, "python"))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr


def test_links_of_the_docs_lead_somewhere() -> None:
    for page in (README, *sorted((ROOT / "docs").glob("*.md"))):
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"


def test_every_command_has_help_and_stands_in_the_readme() -> None:
    done = subprocess.run([sys.executable, "-m", "hpsearch", "--help"], capture_output=True, text=True, check=True)
    names = re.findall(r"^│ (\w+) ", done.stdout, re.MULTILINE)
    assert len(names) >= 15
    readme = README.read_text(encoding="utf-8")
    for name in names:
        assert f"hpsearch {name}" in readme, f"`hpsearch {name}` is not in the README"
        subprocess.run([sys.executable, "-m", "hpsearch", name, "--help"], capture_output=True, check=True)
