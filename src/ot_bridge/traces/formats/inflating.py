"""Files in gzip. Pure. The bodies of requests are inflated in `receive/body.py`, in steps that share a room."""

from __future__ import annotations

import zlib
from typing import Final

__all__ = ["TooLargeError", "inflated"]

_GZIP: Final = b"\x1f\x8b"


class TooLargeError(ValueError):
    """It inflates to more than is read."""


def inflated(data: bytes, largest: int) -> bytes:
    """Inflate gzip, one member after the other; one that is cut gives what is there, other data is as it was.

    Raises:
        TooLargeError: there are more bytes than `largest`.
        zlib.error: it begins like gzip and is not.
    """
    if data[:2] != _GZIP:
        return data
    found = bytearray()
    while data[:2] == _GZIP:
        inflater = zlib.decompressobj(wbits=31)
        found += inflater.decompress(data, largest - len(found) + 1)
        if len(found) > largest:
            raise TooLargeError
        if not inflater.eof:
            break
        data = inflater.unused_data
    return bytes(found)
