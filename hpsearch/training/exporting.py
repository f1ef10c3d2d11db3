"""A champion in the formats of other runtimes, and what its inputs are called there."""

import json
from pathlib import Path

from hpsearch.core.facts import DataFacts
from hpsearch.core.trial import Champion
from hpsearch.models import serving
from hpsearch.spec import StudySpec
from hpsearch.training.keeping import load_champion
from hpsearch.training.protocol import Exported

WRITERS = {"saved_model": serving.write_saved_model, "champion.onnx": serving.write_onnx,
           "champion.tflite": serving.write_litert}  # fmt: skip
"""File or folder → what writes it."""


def export_model(spec: StudySpec, champion: Champion, folder: Path, data: DataFacts) -> tuple[Exported, ...]:
    """See :meth:`~hpsearch.training.protocol.WorkerProtocol.export_model`."""
    model, renamed = serving.serving_model(load_champion(champion.path, spec, champion.config), data)
    written = [Exported(name, serving.attempted(write, model, folder / name)) for name, write in WRITERS.items()]
    if renamed:
        names = folder / "input_names.json"
        names.write_text(json.dumps(renamed, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        other = ", ".join(f"{old!r} is {new!r}" for old, new in renamed.items() if old != new)
        written.append(Exported(names.name, f"names of the columns in these models, which must be ASCII: {other}"))
    return tuple(written)
