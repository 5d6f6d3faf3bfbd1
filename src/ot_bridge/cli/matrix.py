"""`ot-bridge matrix`."""

from __future__ import annotations

from difflib import unified_diff
from pathlib import Path

import click

from ot_bridge.matrix import page

__all__ = ["matrix"]


@click.command()
@click.option(
    "--check",
    "file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Compare this page with what would be printed; the exit code is 1 and the difference is shown when it is old.",
)
def matrix(file: Path | None) -> None:
    """Print the compatibility matrix, as in compat_matrix.md."""
    new = page()
    if file is None:
        click.echo(new, nl=False)
        return
    try:
        old = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"cannot read {file}: {error}") from error
    if old != new:
        lines = unified_diff(old.splitlines(), new.splitlines(), str(file), "ot-bridge matrix", lineterm="", n=1)
        click.echo("\n".join(lines))
        raise click.ClickException(f"{file} is not what 'ot-bridge matrix' prints; write it anew with 'make matrix'")
