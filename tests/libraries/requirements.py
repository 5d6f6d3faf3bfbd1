"""What a library's own metadata asks for, beside what is installed."""

from __future__ import annotations

from importlib import metadata

from packaging.requirements import Requirement

__all__ = ["excludes_installed"]


def excludes_installed(library: str, required: str) -> bool:
    """Return whether pip would refuse the library beside the installed version of what it requires."""
    found = [Requirement(line) for line in metadata.requires(library) or ()]
    (wanted,) = [one for one in found if one.name == required]
    return not wanted.specifier.contains(metadata.version(required))
