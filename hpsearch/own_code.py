"""What a build function of a notebook or a program refers to: its own functions, classes, modules and values."""

import dis
import functools
import inspect
import pickle
import sys
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType

_LOOK_UPS = {"LOAD_GLOBAL", "LOAD_NAME"}

_Part = tuple[str, object]
"""Name, and what has it."""


def digest_of(build: object) -> bytes:
    """Tells code from other code, by all that it refers to, but not by where it was typed or by what process."""
    return sha256(b"\0".join(_told(build, {}))).digest()


def referred(build: object) -> dict[str, FunctionType | type]:
    """Name → function or class of one's own that the build function needs, directly or through another one."""
    found: dict[str, FunctionType | type] = {}
    for name, value in _all(build):
        if isinstance(value, FunctionType | type) and is_ones_own(value):
            found.setdefault(name, value)
    return found


def own_modules(build: object) -> list[ModuleType]:
    """Modules beside the program that the build function needs: not those that any process finds by their name."""
    found: dict[str, ModuleType] = {}
    for _, value in _all(build):
        module = value if isinstance(value, ModuleType) else None
        if module is None and isinstance(value, FunctionType | type):
            module = inspect.getmodule(value)
        if module is not None and module.__name__ != "__main__" and not _is_installed(module):
            found[module.__name__] = module
    return list(found.values())


def packages(build: object) -> list[str]:
    """Installed packages that the build function uses: an MLflow model lists them as its requirements."""
    used = [value for _, value in _all(build)]
    modules = [one.__name__ if isinstance(one, ModuleType) else str(getattr(one, "__module__", "")) for one in used]
    tops = {name.partition(".")[0] for name in modules} - {"__main__"}
    return sorted(name for name in tops - sys.stdlib_module_names if _is_package(name))


def is_ones_own(value: object) -> bool:
    """Whether a function or a class was written for this program."""
    module = inspect.getmodule(value)
    return module is None or module.__name__ == "__main__" or not _is_installed(module)


def _is_installed(module: ModuleType) -> bool:
    """Whether workers find the module by its name: an installed package, Python's own, or hpsearch."""
    top = module.__name__.partition(".")[0]
    file = getattr(module, "__file__", None)
    return file is None or top in sys.stdlib_module_names or top == "hpsearch" or _is_of_a_package(file)


def _is_package(name: str) -> bool:
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is not None and _is_of_a_package(file)


def _is_of_a_package(file: str) -> bool:
    return not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)  # Debian has names of its own


def _all(build: object) -> Iterator[_Part]:
    """The build function and everything below it, once each."""
    seen: dict[int, object] = {}  # the values too: a number may be given again when its object is gone
    waiting: list[_Part] = [(getattr(build, "__name__", ""), build)]
    while waiting:
        name, value = waiting.pop()
        if id(value) not in seen:
            seen[id(value)] = value
            yield name, value
            waiting += reversed(_parts(value) or [])


def _parts(value: object) -> list[_Part] | None:
    """What a value is made of, in the same order in every process; None if it is not looked into."""
    if isinstance(value, FunctionType):
        return _parts_of_function(value) if is_ones_own(value) else None
    if isinstance(value, type):
        if not is_ones_own(value):
            return None
        own = [(name, one) for name, one in sorted(vars(value).items()) if _is_of_class(name, one)]
        return [*((base.__name__, base) for base in value.__bases__), *own]
    if isinstance(value, Mapping):
        return [(str(key), one) for pair in value.items() for key, one in (("", pair[0]), (str(pair[0]), pair[1]))]
    if isinstance(value, list | tuple | set | frozenset):
        return [("", one) for one in value]
    inside = _inside(value)
    if inside is not None:
        return inside
    if is_ones_own(type(value)) and hasattr(value, "__dict__"):
        return [(type(value).__name__, type(value)), *sorted(vars(value).items())]
    return None


def _inside(value: object) -> list[_Part] | None:
    """What Python's own wrappers of functions hold."""
    if isinstance(value, functools.partial):
        return [("", value.func), ("", value.args), ("", value.keywords)]
    if isinstance(value, MethodType):
        return [("", value.__func__), ("", value.__self__)]
    if isinstance(value, property):
        return [("", value.fget), ("", value.fset), ("", value.fdel)]
    if isinstance(value, functools.cached_property):
        return [("", value.func)]
    wrapped = inspect.getattr_static(value, "__wrapped__", None)  # of static methods and of functools.cache
    wrapped = getattr(value, "__wrapped__", None) if wrapped is not None else getattr(value, "__func__", None)
    return None if wrapped is None else [(getattr(wrapped, "__name__", ""), wrapped)]


def _is_of_class(name: str, value: object) -> bool:
    return isinstance(value, FunctionType) or not name.startswith("__")


def _parts_of_function(function: FunctionType) -> list[_Part]:
    codes = list(_codes(function.__code__))
    names = {one.argval for code in codes for one in dis.get_instructions(code) if one.opname in _LOOK_UPS}
    found = {name: function.__globals__[name] for name in sorted(names) if name in function.__globals__}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    attributes = {name for code in codes for name in code.co_names}
    for one in [value for value in found.values() if isinstance(value, ModuleType)]:
        found |= {f"{one.__name__}.{name}": value for name, value in _used_of(one, attributes)}
    defaults = [("", function.__defaults__), ("", function.__kwdefaults__)]
    return [*((name.rpartition(".")[2], value) for name, value in found.items()), *defaults]


def _used_of(module: ModuleType, names: set[str]) -> Iterator[_Part]:
    """What a function with these names in it may take from a module beside the program, and from modules in that."""
    if _is_installed(module):
        return
    for name in sorted(names & vars(module).keys()):
        value = vars(module)[name]
        yield name, value
        if isinstance(value, ModuleType) and value.__name__.startswith(f"{module.__name__}."):
            yield from _used_of(value, names)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _codes(one)


def _told(value: object, seen: dict[int, tuple[int, object]]) -> Iterator[bytes]:
    # Values without parts are told again: whether equal ones are one object is chance.
    parts = _parts(value)
    if parts is not None and not isinstance(value, tuple | frozenset):
        if id(value) in seen:
            yield f"again {seen[id(value)][0]}".encode()
            return
        seen[id(value)] = len(seen), value
    yield f"{type(value).__qualname__} {0 if parts is None else len(parts)}".encode()
    if isinstance(value, set | frozenset):  # in no order
        yield from sorted(digest_of(one) for one in value)
        return
    if parts is None:
        yield _leaf(value)
        return
    if isinstance(value, FunctionType):
        for code in _codes(value.__code__):
            yield repr((code.co_code, code.co_names, code.co_varnames)).encode()
            for one in code.co_consts:
                if not isinstance(one, CodeType):
                    yield from _told(one, seen)
    for name, one in parts:
        yield name.encode()
        yield from _told(one, seen)


def _leaf(value: object) -> bytes:
    if isinstance(value, ModuleType):
        return value.__name__.encode()
    if isinstance(value, FunctionType | type):
        return f"{value.__module__}.{value.__qualname__}".encode()
    try:
        return pickle.dumps(value)
    except Exception:  # whatever a foreign object raises: it counts as of its kind
        return repr(type(value)).encode()
