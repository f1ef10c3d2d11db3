"""Output of ``hpsearch predict``."""

from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.cli.printing import hand_over, say
from hpsearch.errors import SpecError

if TYPE_CHECKING:
    import pandas as pd


def render(table: "pd.DataFrame", *, out: Path | None, as_json: bool) -> None:
    """Write predictions to a file, or print them as CSV or JSON.

    Raises:
        SpecError: The file cannot be written.
    """
    if as_json:
        say(table.to_json(orient="records"))
    elif out is None:
        hand_over(table.to_csv(index=False, float_format="%.6g"))
    else:
        try:
            table.to_csv(out, index=False)
        except OSError as error:
            raise SpecError(
                f"{out} cannot be written: {error.strerror or error}",
                code="cannot-write",
                hint="choose a file in a writable folder",
                path=str(out),
            ) from None
        say(f"wrote {len(table)} predictions to {out}")
