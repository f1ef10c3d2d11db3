"""``hpsearch ui``: finds the MLflow store, serves its pages and prints their address."""

from hpsearch import tracking
from hpsearch.cli.printing import say
from hpsearch.core.addresses import Uri
from hpsearch.errors import SpecError
from hpsearch.ledger.places import tracking_here
from hpsearch.ledger.store import Ledger
from hpsearch.spec import TrackingSection


def serve_ui(name: str | None, *, ledger: str, uri: str | None, port: int | None) -> int:
    """Serve MLflow's pages until Ctrl-C.

    Returns:
        The exit code.

    Raises:
        SpecError: `uri` is not a valid address.
        LedgerError: The named study is not in the ledger.
        TrackingError: The store does not exist, the port is taken, or the server does not start.
    """
    section = TrackingSection() if name is None else tracking_here(Ledger(ledger).load(name).spec, ledger)
    if uri is not None:
        try:
            section = TrackingSection(uri=Uri(uri), ledger=Uri(ledger))
        except ValueError as error:
            reason = str(error).partition("Value error, ")[2].partition(" [type")[0]
            raise SpecError(f"--uri {str(Uri(uri))!r}: {reason}", code="bad-address", uri=str(Uri(uri))) from None

    def ready(url: str) -> None:
        say(f"MLflow pages: {url}\nCtrl-C ends the server.", flush=True)

    return tracking.serve_ui(section, study=name, port=port, ready=ready)
