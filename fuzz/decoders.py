"""Coverage-guided fuzzing of every decoder: ``python fuzz/decoders.py --seconds 60``, or ``make fuzz``.

What has to hold stands in ``invariants.py``. Inputs that do not are written to the folder of ``--findings``; they are
read again with ``python fuzz/decoders.py --input FILE``, which needs no fuzzer.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Fuzz until the time is over. Returns the exit code: 0 when nothing was found."""
    parser = argparse.ArgumentParser(description="Fuzz every decoder of ot_bridge.")
    parser.add_argument("--seconds", type=int, default=60, help="how long (default %(default)s)")
    parser.add_argument("--corpus", type=Path, help="keep new inputs in this folder (default: a temporary one)")
    parser.add_argument(
        "--findings", type=Path, default=Path(), help="where a failing input is written (default: here)"
    )
    parser.add_argument("--input", type=Path, nargs="+", default=[], help="only read these files, without a fuzzer")
    options = parser.parse_args()
    if options.input:
        from invariants import check

        for file in options.input:
            check(file.read_bytes())
        return 0
    try:
        import atheris
    except ImportError:
        print("fuzz: skipped, because atheris is not installed: python -m pip install atheris")
        return 0
    with atheris.instrument_imports(include=["ot_bridge"]):
        from invariants import MAX_LENGTH, check
    with tempfile.TemporaryDirectory() as scratch:
        corpus = options.corpus or Path(scratch)
        corpus.mkdir(parents=True, exist_ok=True)
        flags = {
            "max_total_time": options.seconds,
            "max_len": MAX_LENGTH,
            # a slow input is a finding too
            "timeout": 5,
            "dict": HERE / "headers.dict",
            "artifact_prefix": f"{options.findings}/",
            "print_final_stats": 1,
        }
        arguments = [f"-{name}={value}" for name, value in flags.items()]
        atheris.Setup([sys.argv[0], *arguments, str(corpus), str(HERE / "seeds")], check)
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
