"""What tests need to be installed, and what a library's own metadata asks for beside that."""

from __future__ import annotations

from importlib import metadata

import pytest
from packaging.requirements import Requirement

__all__ = ["excludes_installed", "needs"]


def needs(*requirements: str) -> None:
    """Skip the whole module that calls this, unless all of it is installed, in a version that fits."""
    for requirement in map(Requirement, requirements):
        try:
            fits = requirement.specifier.contains(metadata.version(requirement.name), prereleases=True)
        except metadata.PackageNotFoundError:
            fits = False
        if not fits:
            pytest.skip(f"needs {requirement}: make compat", allow_module_level=True)


def excludes_installed(library: str, required: str) -> bool:
    """Return whether pip would refuse the library beside the installed version of what it requires."""
    found = [Requirement(line) for line in metadata.requires(library) or ()]
    (wanted,) = [one for one in found if one.name == required]
    return not wanted.specifier.contains(metadata.version(required))
