"""Names that a study file may use, and what answers to them: built in, or installed with another package.

All kinds of things that can be added have this one shape. Another package adds its own by an entry point in the
registry's group::

    [project.entry-points."hpsearch.pruners"]
    patient = "my_package.pruners:PatientPruner"
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from hpsearch.core.rules import RuleError
from hpsearch.core.words import closest, did_you_mean, first_line, listed
from hpsearch.errors import SpecError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a registry.

    Attributes:
        name: As study files write it.
        address: ``module:object``.
        package: The package that brings it, with its version; ``"hpsearch"`` if built in.
    """

    name: str
    address: str
    package: str


class Registry:
    """Name → object, imported when it is first used.

    Args:
        group: Group of the entry points by which other packages add theirs, such as ``"hpsearch.tuners"``.
        what: What the objects are, in the singular, for messages.
        builtin: Name → ``module:object`` of what hpsearch brings.
    """

    def __init__(self, group: str, what: str, builtin: Mapping[str, str]) -> None:
        self.group = group
        self.what = what
        self._builtin = {name: Entry(name, address, "hpsearch") for name, address in builtin.items()}

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """All names. Built-in ones come first, and win over others of the same name."""
        found = dict(self._builtin)
        for entry in self._installed:
            found.setdefault(entry.name, entry)
        return found

    @property
    def hidden(self) -> tuple[Entry, ...]:
        """Entries of other packages that cannot be reached, because another entry has the same name."""
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
        """`name` itself, if it is known or one of `others`.

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
            SpecError: There is none, it cannot be imported, or it is no subclass of `base`.
        """
        found = self._import(name)
        if not (inspect.isclass(found) and issubclass(found, base)):
            raise self._unfit(name, f"a subclass of {base.__module__}.{base.__qualname__}")
        return found

    def load_object(self, name: str, kind: type[T]) -> T:
        """The object of that name.

        Raises:
            SpecError: There is none, it cannot be imported, or it is no `kind`.
        """
        found = self._import(name)
        if not isinstance(found, kind):
            raise self._unfit(name, f"a {kind.__module__}.{kind.__qualname__}")
        return found

    def _import(self, name: str) -> object:
        if name not in self.entries:
            legal = self.names()
            raise SpecError(
                f"there is no {self.what} {name!r}{did_you_mean(name, legal)}",
                code="unknown-name",
                hint=f"use one of {listed(legal)}",
                group=self.group,
                name=name,
            )
        entry = self.entries[name]
        try:
            found: object = EntryPoint(name, entry.address, self.group).load()
        except Exception as error:  # another package's code may raise anything when it is imported
            raise SpecError(
                f"{self.what} {name!r} of {entry.package} cannot be imported from {entry.address}: "
                f"{type(error).__name__}: {first_line(error)}",
                code="broken-plugin",
                hint=f"repair or remove {entry.package}; `hpsearch doctor` shows what is installed",
                group=self.group,
                name=name,
                address=entry.address,
                package=entry.package,
            ) from error
        return found

    def _unfit(self, name: str, wanted: str) -> SpecError:
        entry = self.entries[name]
        return SpecError(
            f"{self.what} {name!r} of {entry.package} ({entry.address}) is not {wanted}",
            code="broken-plugin",
            hint=f"repair or remove {entry.package}; the documentation has a page 'Add your own'",
            group=self.group,
            name=name,
            address=entry.address,
            package=entry.package,
        )


class Objects(Mapping[str, T]):
    """The objects of a registry by name. Each is imported when it is asked for.

    Args:
        registry: Where the names are.
        kind: Type of the objects.
    """

    def __init__(self, registry: Registry, kind: type[T]) -> None:
        self._registry = registry
        self._kind = kind

    def __getitem__(self, name: str) -> T:
        """See :meth:`Registry.load_object`; an unknown name raises its error, not a ``KeyError``."""
        return self._registry.load_object(name, self._kind)

    def __contains__(self, name: object) -> bool:
        return name in self._registry.entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._registry.names())

    def __len__(self) -> int:
        return len(self._registry.names())

    def usable(self, report: Callable[[SpecError], None]) -> dict[str, T]:
        """The objects that can be imported. `report` is called for each of the others, which are left out."""
        found = {}
        for name in self:
            try:
                found[name] = self[name]
            except SpecError as error:
                report(error)
        return found
