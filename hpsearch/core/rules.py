"""Values that break a rule of the study file."""


class RuleError(ValueError):
    """A value breaks a rule. The text reads well after the key that has the value and a colon.

    It becomes one line of a :class:`~hpsearch.errors.SpecError`, which lists all mistakes of a study file at once.

    Args:
        text: The rule, and the offending value if the rule alone does not show it.
        code: Names the rule, such as ``"bad-range"``. Tests and scripts rely on it, not on `text`.
        received: The offending value.
        closest: The legal name nearest to it.
        key: The key that has the value, if whoever catches the error cannot know it.
    """

    def __init__(
        self,
        text: str,
        code: str = "broken-rule",
        *,
        received: object = None,
        closest: str | None = None,
        key: str = "",
    ) -> None:
        super().__init__(f"{key}: {text}" if key else text)
        self.text = text
        self.code = code
        self.received = received
        self.closest = closest
        self.key = key
