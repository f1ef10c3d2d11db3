"""A data source: two half circles that interlock, from scikit-learn."""

from hpsearch.data.loaded import Loaded
from hpsearch.data.source import Source


def read(rows: int = 400, noise: float = 0.2) -> Loaded:
    """Rows of two numbers in two classes. A fixed seed gives the same rows each time, so studies can be resumed."""
    from sklearn.datasets import make_moons  # imported late: commands that read no data do without it

    x, y = make_moons(rows, noise=noise, random_state=0)
    return Loaded(x, y, classes=("upper", "lower"))


MOONS = Source("extras:moons", "two half circles that interlock", read, options=("rows", "noise"))
