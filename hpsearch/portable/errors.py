"""Rows that a model cannot take, or takes as something else than they may be."""


class RowsError(ValueError):
    """Rows are not what the model was trained on.

    Attributes:
        code: A short slug, such as ``missing-columns``.
        hint: What to do; empty if the message says it.
        values: What is wrong, by name.
    """

    def __init__(self, what: str, *, code: str, hint: str = "", **values: object) -> None:
        super().__init__(f"{what}; {hint}" if hint else what)
        self.what, self.code, self.hint, self.values = what, code, hint, values


class RowsWarning(UserWarning):
    """Rows may not be what they should be."""
