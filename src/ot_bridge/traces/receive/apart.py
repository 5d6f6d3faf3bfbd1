"""Decodes a large body in a process of its own, so that all others are served meanwhile.

The process lives no longer than somebody waits for what it decodes: it is killed when its time is over, when its client
goes, and when the server closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import threading
from collections.abc import Callable
from typing import IO, Final

from ot_bridge.traces.formats.decoded import Decoded
from ot_bridge.traces.receive.decoder import MEMORY, SIZE, CutShortError, MemoryLackError, command, read

__all__ = ["DecoderError", "Decoding"]

_STEP: Final = 1 << 20


class DecoderError(Exception):
    """A body was not decoded, which says nothing about what is wrong with it.

    Attributes:
        too_large: it needs more memory, or time, than there is.
    """

    def __init__(self, text: str, *, too_large: bool = False) -> None:
        super().__init__(text)
        self.too_large = too_large


class Decoding:
    """One body and the process that decodes it.

    Args:
        decode: a function of a module, which raises ValueError for a body that it cannot read.
        body: that it gets.
    """

    def __init__(self, decode: Callable[[bytes], Decoded], body: bytes) -> None:
        self._command, self._body = command(decode), body
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    async def result(self, deadline_s: float) -> Decoded:
        """Return what was decoded; the process has ended then, also when this is cancelled.

        Raises:
            ValueError: the decoder cannot read the body.
            DecoderError: it did not come so far.
        """
        # Of asyncio's own executor: the one of all other requests must not be full of these.
        work = asyncio.get_running_loop().run_in_executor(None, self.run)
        try:
            done, _ = await asyncio.wait([work], timeout=deadline_s)
        finally:
            self.stop()
        try:
            return await work
        except DecoderError:
            if done:
                raise
            raise DecoderError(
                f"cannot decode {len(self._body):,} bytes within {deadline_s:g} s", too_large=True
            ) from None

    def run(self) -> Decoded:
        """Start the process and wait for it, however long it takes.

        Raises:
            ValueError: the decoder cannot read the body.
            DecoderError: it did not come so far.
        """
        process = self._started()
        try:
            stdin, stdout = process.stdin, process.stdout
            if stdin is None or stdout is None:
                raise CutShortError
            with stdout:
                self._send(stdin)
                return read(stdout)
        except MemoryLackError:
            text = f"cannot decode {len(self._body):,} bytes within {MEMORY >> 30} GiB of memory"
            raise DecoderError(text, too_large=True) from None
        except CutShortError:
            process.kill()
            raise DecoderError(f"the process that decodes the body ended early, with {process.wait()}") from None
        finally:
            process.kill()
            process.wait()

    def stop(self) -> None:
        """End the process now, or never start it."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def _started(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._stopped:
                raise DecoderError("nobody waits for the body")
            try:
                self._process = subprocess.Popen(  # noqa: S603  (the own interpreter)
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    # What Ctrl-C ends is this process, which then ends the other.
                    start_new_session=True,
                )
            except OSError as error:
                raise DecoderError(f"cannot start a process to decode the body: {error}") from error
            return self._process

    def _send(self, stdin: IO[bytes]) -> None:
        """Send all before anything is read: the process writes nothing before it has the whole body."""
        # What ended early is told by what can be read from it.
        with contextlib.suppress(OSError), stdin:
            stdin.write(SIZE.pack(len(self._body)))
            for start in range(0, len(self._body), _STEP):
                stdin.write(memoryview(self._body)[start : start + _STEP])
