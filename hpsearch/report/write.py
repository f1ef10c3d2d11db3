"""Put reports into files. What draws (plotly, matplotlib, jinja2) is imported when it is needed: it costs a second."""

import importlib
import json
import os
import threading
from contextlib import suppress
from pathlib import Path

from hpsearch.errors import SpecError
from hpsearch.ledger.record import StudyRecord
from hpsearch.report.artifacts import ReportArtifacts
from hpsearch.report.content import Content, gather, plain

FORMATS = ("html", "md", "pdf", "json")


def write(record: StudyRecord, folder: Path, artifacts: ReportArtifacts | None = None, *, format: str = "html") -> Path:
    """Write ``report.<format>`` into a folder, which is created.

    Args:
        record: The study.
        folder: Where to.
        artifacts: The champion's predictions and layers; see :func:`hpsearch.report.load_artifacts`.
        format: One of :data:`FORMATS`. ``html`` is one file that needs nothing else; ``pdf`` needs a Chromium.

    Returns:
        The file.

    Raises:
        SpecError: The format is unknown, the folder cannot be written, or no browser is there for ``pdf``.
    """
    if format not in FORMATS:
        raise SpecError(f"format must be one of {', '.join(FORMATS)}, but got {format!r}")
    if format == "pdf":
        from hpsearch.report.pdf import find_browser

        find_browser()  # before a minute of work, not after it
    return _write(gather(record, artifacts), folder, artifacts, format=format)


def _write(content: Content, folder: Path, artifacts: ReportArtifacts | None, *, format: str) -> Path:
    samples = artifacts.predictions.samples if artifacts is not None and artifacts.predictions is not None else {}
    if format == "json":
        data = json.dumps(plain(content), indent=1, ensure_ascii=False).encode()
    elif format == "md":
        from hpsearch.report.markdown import render_markdown

        data = render_markdown(content).encode()
    else:
        from hpsearch.report.page import render_page

        data = render_page(content, samples).encode()
        if format == "pdf":
            from hpsearch.report.pdf import print_pdf

            data = print_pdf(data)
    return _put(folder / f"report.{format}", data)


def preload() -> None:
    """Import what :func:`write_artifacts` needs, in the background, while this process has nothing else to do."""
    names = ("hpsearch.report.page", "hpsearch.report.markdown", "matplotlib.backends.backend_agg", "optuna.importance")

    def run() -> None:
        with suppress(Exception):  # it is told where the report is written
            for name in names:
                importlib.import_module(name)

    threading.Thread(target=run, name="preload").start()


def write_artifacts(record: StudyRecord, folder: Path, artifacts: ReportArtifacts | None = None) -> tuple[Path, ...]:
    """Write what belongs beside the study's MLflow run: the report, and still pictures that its UI can preview.

    Returns:
        ``report.html``, ``report.md``, and under ``pictures/`` ``curves.png`` and ``importance.png`` where there is
        something to draw.

    Raises:
        SpecError: The folder cannot be written.
    """
    from hpsearch.report.pictures import curves_picture, importance_picture

    content = gather(record, artifacts)
    files = [_write(content, folder, artifacts, format=format) for format in ("html", "md")]
    curves, importance = content.curves, content.importance
    if curves.trials:
        files.append(_put(folder / "pictures" / "curves.png", curves_picture(curves, curves.trials[0].trial)))
    if importance.rows:
        files.append(_put(folder / "pictures" / "importance.png", importance_picture(importance)))
    return tuple(files)


def _put(path: Path, data: bytes) -> Path:
    """Write beside the target, then move: a killed process leaves the old file or the new one."""
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        raise SpecError(
            f"cannot write {path}: {error.strerror or error}", hint="choose a folder that can be written"
        ) from None
    finally:
        if temporary.parent.is_dir():
            temporary.unlink(missing_ok=True)
    return path
