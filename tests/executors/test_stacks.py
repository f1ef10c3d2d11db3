"""What is told of a process that did not answer."""

import sysconfig
from pathlib import Path

import hpsearch
from hpsearch.executors.stacks import user_code_in

STDLIB, PACKAGE = sysconfig.get_path("stdlib"), Path(hpsearch.__file__).parent


def stack(*files: str, current: bool = False) -> str:
    lines = "".join(f'  File "{file}", line {line} in run\n' for line, file in enumerate(files, 1))
    return f"{'Current thread' if current else 'Thread'} 0x00007f41 (most recent call first):\n{lines}"


OURS = stack(f"{STDLIB}/threading.py", f"{PACKAGE}/executors/serve.py", "<frozen runpy>")
CURRENT = stack(f"{PACKAGE}/training/worker.py", "<frozen runpy>", current=True)


def test_only_threads_in_code_of_the_users_are_kept() -> None:
    theirs = stack(f"{STDLIB}/threading.py", "/home/me/model.py", f"{PACKAGE}/models/builder.py")
    written = f"a warning of JAX\n{OURS}\n{theirs}\n{CURRENT}"
    assert user_code_in(written) == theirs.rstrip()
    assert user_code_in(written.replace("/home/me/model.py", "<string>")).count("<string>") == 1


def test_without_such_a_thread_the_one_that_was_asked_is_kept() -> None:
    assert user_code_in(f"{OURS}\n{CURRENT}\nmore words") == CURRENT.rstrip()
    assert user_code_in("a warning, and no stack") == ""


def test_a_stack_without_an_end_is_cut() -> None:
    assert len(user_code_in(stack(*["/home/me/model.py"] * 500))) == 4000
