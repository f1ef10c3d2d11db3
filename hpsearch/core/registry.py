"""Names that a study file may use, and the objects behind them: built in, or from another package.

All registries have this one form. Another package adds its own objects by entry points in the registry's group::

    [project.entry-points."hpsearch.pruners"]
    patient = "my_package.pruners:PatientPruner"
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from hpsearch.core.foreign import errors_as
from hpsearch.core.rules import RuleError
from hpsearch.core.words import closest, did_you_mean, first_line, listed, quoted
from hpsearch.errors import SpecError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a registry.

    Attributes:
        name: As study files write it.
        address: ``module:object``.
        package: The package that it comes from, with its version; ``"hpsearch"`` if built in.
    """

    name: str
    address: str
    package: str


class Registry:
    """Names → objects, which are imported when they are first used.

    Args:
        group: Group of the entry points of other packages, such as ``"hpsearch.tuners"``.
        what: What an object is called in messages, such as ``"tuner"``.
        builtin: Name → ``module:object`` of the built-in objects.
    """

    def __init__(self, group: str, what: str, builtin: Mapping[str, str]) -> None:
        self.group = group
        self.what = what
        self._builtin = {name: Entry(name, address, "hpsearch") for name, address in builtin.items()}

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """All entries by name, built-in ones first. A built-in one takes precedence over others of the same name."""
        found = dict(self._builtin)
        for entry in self._installed:
            found.setdefault(entry.name, entry)
        return found

    @property
    def hidden(self) -> tuple[Entry, ...]:
        """Entries of other packages that another entry of the same name hides."""
        return tuple(entry for entry in self._installed if self.entries[entry.name] is not entry)

    @cached_property
    def _installed(self) -> tuple[Entry, ...]:
        return tuple(
            Entry(point.name, point.value, f"{point.dist.name} {point.dist.version}" if point.dist else "unknown")
            for point in entry_points(group=self.group)
        )

    def names(self) -> tuple[str, ...]:
        """All names, built-in ones first."""
        return tuple(self.entries)

    def check(self, name: str, *others: str) -> str:
        """`name` itself if it is in the registry, or one of `others`.

        Raises:
            RuleError: It is neither.
        """
        legal = (*others, *self.names())
        if name not in legal:
            raise RuleError(
                f"must be one of {listed(legal)}", "not-one-of", received=name, closest=closest(name, legal)
            )
        return name

    def load_class(self, name: str, base: type[T]) -> type[T]:
        """The class of that name.

        Raises:
            SpecError: There is none, it cannot be imported, or it is not a subclass of `base`.
        """
        found = self._import(name)
        if not (inspect.isclass(found) and issubclass(found, base)):
            raise self._unfit(name, f"a subclass of {base.__module__}.{base.__qualname__}")
        return found

    def load_object(self, name: str, kind: type[T]) -> T:
        """The object of that name.

        Raises:
            SpecError: There is none, it cannot be imported, or it is not a `kind`.
        """
        found = self._import(name)
        if not isinstance(found, kind):
            raise self._unfit(name, f"a {kind.__module__}.{kind.__qualname__}")
        return found

    def _import(self, name: str) -> object:
        if name not in self.entries:
            legal = self.names()
            raise SpecError(
                f"there is no {self.what} {quoted(name)}{did_you_mean(name, legal)}",
                code="unknown-name",
                hint=f"use one of {listed(legal)}",
                group=self.group,
                name=name,
            )
        entry = self.entries[name]

        def explain(error: Exception) -> SpecError:
            return SpecError(
                f"{self.what} {quoted(name)} of {entry.package} cannot be imported from {entry.address}: "
                f"{type(error).__name__}: {first_line(error)}",
                code="broken-plugin",
                hint=f"repair or remove {entry.package}; `hpsearch doctor` shows what is installed",
                group=self.group,
                name=name,
                address=entry.address,
                package=entry.package,
            )

        with errors_as(explain):
            found: object = EntryPoint(name, entry.address, self.group).load()
        return found

    def _unfit(self, name: str, wanted: str) -> SpecError:
        entry = self.entries[name]
        return SpecError(
            f"{self.what} {quoted(name)} of {entry.package} ({entry.address}) is not {wanted}",
            code="broken-plugin",
            hint=f"repair or remove {entry.package}; see the page 'Add your own' in the documentation",
            group=self.group,
            name=name,
            address=entry.address,
            package=entry.package,
        )


class Objects(Mapping[str, T]):
    """The objects of a registry by name. Each is imported when it is first used.

    Args:
        registry: The registry.
        kind: Type of the objects.
    """

    def __init__(self, registry: Registry, kind: type[T]) -> None:
        self._registry = registry
        self._kind = kind

    def __getitem__(self, name: str) -> T:
        """See :meth:`Registry.load_object`. An unknown name raises a ``SpecError``, not a ``KeyError``."""
        return self._registry.load_object(name, self._kind)

    def __contains__(self, name: object) -> bool:
        return name in self._registry.entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._registry.names())

    def __len__(self) -> int:
        return len(self._registry.names())

    def usable(self, report: Callable[[SpecError], None]) -> dict[str, T]:
        """The objects that can be imported. Calls `report` for each one that cannot."""
        found = {}
        for name in self:
            try:
                found[name] = self[name]
            except SpecError as error:
                report(error)
        return found
