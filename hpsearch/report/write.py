"""Writes reports into files. Plotly, Matplotlib and Jinja are imported on first use, because they take a second."""

import importlib
import json
from contextlib import suppress
from pathlib import Path

from hpsearch.core.files import make_folder, write_atomically
from hpsearch.core.imports import import_ahead, wait_for_imports
from hpsearch.core.words import did_you_mean, listed
from hpsearch.errors import SpecError
from hpsearch.ledger.record import StudyRecord
from hpsearch.report.artifacts import ReportArtifacts
from hpsearch.report.content import Content, gather, plain

FORMATS = ("html", "md", "pdf", "json")


def write(
    record: StudyRecord,
    folder: Path,
    artifacts: ReportArtifacts | None = None,
    *,
    format: str = "html",
    shared: bool = False,
) -> Path:
    """Write ``report.<format>`` into a folder.

    Args:
        record: The study.
        folder: Created if it does not exist.
        artifacts: The champion's predictions and layers; see :func:`hpsearch.report.load_artifacts`.
        format: One of :data:`FORMATS`. ``html`` is one self-contained file; ``pdf`` needs Chromium.
        shared: Whether others may read the file, as far as the umask lets them.

    Returns:
        The file.

    Raises:
        SpecError: The format is unknown, the folder cannot be written, or there is no browser for ``pdf``.
    """
    if format not in FORMATS:
        raise SpecError(
            f"format must be one of {listed(FORMATS)}, but got {format!r}{did_you_mean(format, FORMATS)}",
            code="unknown-report-format",
            format=format,
            formats=FORMATS,
        )
    if format == "pdf":
        from hpsearch.report.pdf import find_browser

        find_browser()  # fails before the work, not after it
    return _write(gather(record, artifacts), folder, artifacts, format=format, shared=shared)


def _write(content: Content, folder: Path, artifacts: ReportArtifacts | None, *, format: str, shared: bool) -> Path:
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
    return _put(folder / f"report.{format}", data, shared=shared)


def preload() -> None:
    """Import the modules that :func:`write_artifacts` needs, in a background thread."""
    names = ("hpsearch.report.page", "hpsearch.report.markdown", "matplotlib.backends.backend_agg", "scipy.special")

    def run() -> None:
        with suppress(ImportError):  # writing the report raises it again
            for name in names:
                importlib.import_module(name)

    import_ahead(run, "hpsearch-import-report")


def write_artifacts(record: StudyRecord, folder: Path, artifacts: ReportArtifacts | None = None) -> tuple[Path, ...]:
    """Write the files that accompany the study's MLflow run: the report, and pictures that MLflow's UI can show.

    Returns:
        ``report.html``, ``report.md`` and, if there is something to draw, ``pictures/curves.png`` and
        ``pictures/importance.png``.

    Raises:
        SpecError: The folder cannot be written.
    """
    wait_for_imports()  # Matplotlib looks into IPython if it is there, which MLflow imports
    from hpsearch.report.pictures import curves_picture, importance_picture

    content, shared = gather(record, artifacts), record.spec.tracking.shared
    files = [_write(content, folder, artifacts, format=format, shared=shared) for format in ("html", "md")]
    curves, importance = content.curves, content.importance
    if curves.trials:
        picture = curves_picture(curves, curves.trials[0].trial)
        files.append(_put(folder / "pictures" / "curves.png", picture, shared=shared))
    if importance.rows:
        files.append(_put(folder / "pictures" / "importance.png", importance_picture(importance), shared=shared))
    return tuple(files)


def _put(path: Path, data: bytes, *, shared: bool) -> Path:
    try:
        make_folder(path.parent, shared=shared)
        write_atomically(path, lambda temporary: temporary.write_bytes(data), shared=shared)
    except OSError as error:
        raise SpecError(
            f"{path} cannot be written: {error.strerror or error}",
            code="cannot-write",
            hint="choose a writable folder",
            path=str(path),
        ) from None
    return path
