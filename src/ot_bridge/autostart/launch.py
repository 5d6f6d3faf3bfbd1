"""From the words after ``ot-bridge run`` to the process that it becomes.

It imports little, because it is paid for at each start: the settings are read only when one is set, and the SDK never.
"""

from __future__ import annotations

import errno
import os
import sys

from ot_bridge.autostart.state import MAIN_PID

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import NoReturn

__all__ = ["DIRECTORY", "LaunchError", "Plan", "check_settings", "execute", "plan", "split"]

DIRECTORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "path")

_WRONG, _NOT_EXECUTABLE, _NOT_FOUND = 2, 126, 127  # as env, nohup and timeout have it
_PYTHONS = ("python", "pypy")
_SCRIPTS = (".py", ".pyw", ".pyz")
_NEED_VALUE = "WX"  # options of Python that take a value
_END = "cm"  # what follows these is the program's
_REFUSED = {
    "I": "-I ignores PYTHONPATH, by which ot_bridge comes in",
    "E": "-E ignores PYTHONPATH, by which ot_bridge comes in",
    "S": "-S leaves out site, by which ot_bridge comes in",
}


class LaunchError(Exception):
    """Why the command cannot be started.

    Attributes:
        status: for the exit: 2 the command line is wrong, 126 it cannot be executed, 127 it is not there.
    """

    def __init__(self, text: str, status: int = _WRONG) -> None:
        super().__init__(text)
        self.status = status


class Plan:
    """A command that can be started.

    Attributes:
        arguments: what is executed; the first one is the path of the program.
        changes: the variables that are set beside those that are there.
        interpreter: the Python that runs it, None where that cannot be seen from here.
    """

    def __init__(self, arguments: Sequence[str], changes: Mapping[str, str], interpreter: str | None) -> None:
        self.arguments = tuple(arguments)
        self.changes = dict(changes)
        self.interpreter = interpreter


def split(words: Sequence[str]) -> Sequence[str] | None:
    """Return the command when the words are nothing else, None when there are options to be read first."""
    if words[:1] == ["--"]:
        return words[1:]
    if words and (words[0] == "-m" or not words[0].startswith("-")):
        return words
    return None


def plan(command: Sequence[str], environ: Mapping[str, str]) -> Plan:
    """Find out what is to be executed, and with which variables.

    Args:
        command: such as ``python app.py``, ``-m module``, ``gunicorn shop:app`` or ``app.py``.
        environ: the variables that it starts with.

    Raises:
        LaunchError: it cannot be started, or not so that it would be traced.
    """
    if not command:
        raise LaunchError("no command: expected 'ot-bridge run python app.py', or -m MODULE, app.py, gunicorn ...")
    arguments = _resolve(command, environ)
    program = arguments[0]
    if _is_python(program):
        interpreter: str | None = program
        _check_flags(arguments[1:], "the command")
    else:
        interpreter, flags = _shebang(program)
        _check_flags(flags, f"the first line of {program}")
        if interpreter is not None and os.sep not in interpreter:
            interpreter = _which(interpreter, environ)
    return Plan(arguments, {"PYTHONPATH": _python_path(environ), MAIN_PID: str(os.getpid())}, interpreter)


def check_settings(environ: Mapping[str, str]) -> None:
    """Refuse wrong ``OT_BRIDGE_*`` variables here, where somebody sees it.

    Raises:
        LaunchError: a variable cannot be used.
    """
    if not any(name.startswith("OT_BRIDGE_") for name in environ):
        return
    import logging

    from ot_bridge.config import Settings
    from ot_bridge.errors import ConfigError

    # Warnings come from the process that is started, at its install.
    logger = logging.getLogger("ot_bridge")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        Settings.from_env(environ)
    except ConfigError as error:
        raise LaunchError(str(error)) from None
    finally:
        logger.setLevel(level)


def execute(planned: Plan) -> NoReturn:
    """Become the command: exit status, signals and standard streams are its own.

    Raises:
        LaunchError: the system refuses to execute it.
    """
    environment = {**os.environ, **planned.changes}
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    if os.name == "nt":
        # There exec is a new process, and the caller would see this one end.
        import subprocess

        raise SystemExit(subprocess.call(planned.arguments, env=environment))  # noqa: S603  (what was asked for)
    import _signal  # type: ignore[import-not-found]  # signal itself makes enums of everything

    # Python ignores these; a command would inherit that.
    for name in ("SIGPIPE", "SIGXFZ", "SIGXFSZ"):
        if hasattr(_signal, name):
            _signal.signal(getattr(_signal, name), _signal.SIG_DFL)
    try:
        os.execve(planned.arguments[0], planned.arguments, environment)  # noqa: S606  (no shell is meant)
    except OSError as error:
        status = _NOT_FOUND if error.errno == errno.ENOENT else _NOT_EXECUTABLE
        raise LaunchError(f"cannot execute {planned.arguments[0]!r}: {error.strerror}", status) from None


def _resolve(command: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    first, rest = command[0], list(command[1:])
    if first == "-m":
        if not rest:
            raise LaunchError("-m needs the name of a module, such as 'ot-bridge run -m shop.server'")
        return [_this_python(), "-m", *rest]
    if first.startswith("-"):
        raise LaunchError(f"no such option: {first}; expected --explain, --json, --help, -m MODULE or a command")
    if _is_program_of_python(first):
        return [_this_python(), first, *rest]
    return [_which(first, environ), *rest]


def _this_python() -> str:
    if not sys.executable:
        raise LaunchError(
            "this Python does not know its own path: name the interpreter, as in 'ot-bridge run python ...'"
        )
    return sys.executable


def _is_program_of_python(path: str) -> bool:
    if os.path.isdir(path):
        return os.path.isfile(os.path.join(path, "__main__.py"))
    return path.lower().endswith(_SCRIPTS) and os.path.isfile(path)


def _which(name: str, environ: Mapping[str, str]) -> str:
    """Return the path of a command: as the shell finds it, else beside this Python."""
    if os.name == "nt":
        import shutil

        found = shutil.which(name, path=environ.get("PATH"))
    elif os.sep in name:
        found = name if os.path.isfile(name) else None
        if found and not os.access(found, os.X_OK):
            raise LaunchError(f"cannot execute {name!r}: Permission denied", _NOT_EXECUTABLE)
    else:
        # A virtual environment need not be activated.
        own = os.path.dirname(sys.executable) if sys.executable else ""
        found = _first([*environ.get("PATH", os.defpath).split(os.pathsep), own], name)
    if found is None:
        raise LaunchError(f"cannot find the command {name!r}{_hint(name, environ)}", _NOT_FOUND)
    return found


def _first(places: Iterable[str], name: str) -> str | None:
    for place in places:
        path = os.path.join(place or os.curdir, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def _hint(name: str, environ: Mapping[str, str]) -> str:
    """Name the closest command or file."""
    import difflib

    places = [os.path.dirname(name) or os.curdir] if os.sep in name or name.endswith(_SCRIPTS) else []
    known = set()
    for place in places or [*environ.get("PATH", "").split(os.pathsep), os.path.dirname(sys.executable)]:
        if os.path.isdir(place or os.curdir) and os.access(place or os.curdir, os.R_OK):
            known.update(os.listdir(place or os.curdir))
    near = difflib.get_close_matches(os.path.basename(name), sorted(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _is_python(path: str) -> bool:
    return os.path.basename(path).lower().startswith(_PYTHONS)


def _check_flags(words: Sequence[str], where: str) -> None:
    """Refuse the options of Python that would keep the bridge out."""
    skip = False
    for word in words:
        if skip:
            skip = False
        elif not word.startswith("-") or word in ("-", "--"):
            return
        elif not word.startswith("--"):
            for number, letter in enumerate(word[1:], 1):
                if letter in _END:
                    return
                if letter in _NEED_VALUE:
                    skip = number == len(word) - 1
                    break
                if letter in _REFUSED:
                    raise LaunchError(
                        f"{where} starts Python with {word}, and {_REFUSED[letter]}; start it without -{letter}, "
                        "or call ot_bridge.install() in the program"
                    )


def _shebang(path: str) -> tuple[str | None, list[str]]:
    """Return the Python that a script's first line names, with its options; None where it is no Python."""
    try:
        with open(path, "rb") as file:
            line = file.readline(4096)
    except OSError:  # executable, not readable
        return None, []
    if not line.startswith(b"#!"):
        return None, []
    words = os.fsdecode(line[2:]).split()
    if words and os.path.basename(words[0]) == "env":
        words = [word for word in words[1:] if word != "-S" and "=" not in word]
    if not words or not _is_python(words[0]):
        return None, []
    return words[0], words[1:]


def _python_path(environ: Mapping[str, str]) -> str:
    if os.pathsep in DIRECTORY:
        raise LaunchError(
            f"ot_bridge is installed in {DIRECTORY!r}: PYTHONPATH has no way to name a path with {os.pathsep!r}"
        )
    before = environ.get("PYTHONPATH")
    if not before:
        return DIRECTORY
    # Nested, as in `ot-bridge run make`, whose targets use it too.
    rest = [place for place in before.split(os.pathsep) if place != DIRECTORY]
    return os.pathsep.join([DIRECTORY, *rest])
