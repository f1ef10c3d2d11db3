"""Packages for hpsearch to find, installed by hand: no network, no pip and no setuptools are needed."""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "hpsearch-extras"


def install(target: Path, name: str, version: str, entry_points: Mapping[str, Mapping[str, str]]) -> None:
    """Write what an installer writes about a package: its name, version and entry points."""
    info = target / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups = (
        "\n".join([f"[{group}]", *(f"{key} = {value}" for key, value in points.items())])
        for group, points in entry_points.items()
    )
    (info / "entry_points.txt").write_text("\n\n".join(groups) + "\n")


@pytest.fixture(scope="session")
def extras(tmp_path_factory) -> Path:
    """A folder in which the example package is installed."""
    target = tmp_path_factory.mktemp("site")
    shutil.copytree(EXAMPLE / "src" / "hpsearch_extras", target / "hpsearch_extras")
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    install(target, project["name"], project["version"], project["entry-points"])
    return target


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def hpsearch() -> Run:
    """Run the command line with the packages in `site`."""

    def run(*arguments: str, folder: Path, site: Path | None) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment["PYTHONPATH"] = os.pathsep.join(map(str, filter(None, (site, ROOT))))
        command = [sys.executable, "-m", "hpsearch", *arguments]
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=600
        )

    return run
