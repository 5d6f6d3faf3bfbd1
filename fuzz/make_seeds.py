"""Writes ``seeds/`` anew out of ``tests/vectors/headers.json``: ``python fuzz/make_seeds.py``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from ot_bridge.codecs import binary
from ot_bridge.codecs.wire import WireContext

SEEDS: Final = Path(__file__).parent / "seeds"
VECTORS: Final = Path(__file__).parent.parent / "tests" / "vectors" / "headers.json"
_PARENT: Final = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
_CAPTURES: Final = {
    "curl_dump": f"* Connected to shop\n> GET /cart HTTP/1.1\n> Host: shop\n> {_PARENT}\n>\n< HTTP/1.1 200 OK\n< a: b",
    "curl_command": f"curl 'http://shop/cart?a=1' -sH '{_PARENT}' \\\n  --header $'baggage: a=it\\'s' -d '-H x' | jq .",
    "curl_cmd": f'curl ^"http://shop/cart^" ^\n  -H ^"{_PARENT}^" ^\n  -H ^"baggage: a=^\\^"b^\\^"^"',
    "har": json.dumps(
        {
            "log": {
                "entries": [
                    {"request": {"method": "GET", "url": "http://shop", "headers": [{"name": "b3", "value": "1"}]}}
                ]
            }
        }
    ),
    "raw_request": f"POST /cart HTTP/1.1\nHost: shop\n{_PARENT}\n\nno: header",
}
# Where one repeat of a pattern ends and the next one begins: quadratic, once.
_SLOW: Final = {
    "slow_baggage": 'http\nbaggage: k={blanks}"',
    "slow_b3": "http\nb3: a-b-1-{blanks}-",
    "slow_traceparent": "http\ntraceparent: cc{rest}-{blanks}\ntraceparent: x",
}


def seeds() -> dict[str, bytes]:
    """Return the content of each file by its name."""
    made = {name: text.encode() for name, text in _of_vectors()}
    made |= {name: f"capture\n{text}".encode() for name, text in _CAPTURES.items()}
    blanks, rest = " " * 1000, _PARENT.partition("00")[2]
    made |= {name: text.format(blanks=blanks, rest=rest).encode() for name, text in _SLOW.items()}
    return made | dict(_of_contexts())


def _of_vectors() -> Iterator[tuple[str, str]]:
    for number, case in enumerate(_vectors()["cases"]):
        lines = [f"{name}: {value}" for name, value in case["headers"]]
        # What has lines in it is no line.
        if not any("\n" in line for line in lines):
            mode = "http" if case["format"] == "HTTP_HEADERS" else "text"
            yield case["id"], "\n".join([mode, *lines])
            if number % 8 == 0:
                yield f"{case['id']}.explain", "\n".join(["explain", *lines])


def _of_contexts() -> Iterator[tuple[str, bytes]]:
    for case in _vectors()["inject_cases"]:
        given = case["input"]
        ids = (int(given["trace_id"] or "0", 16), int(given["span_id"] or "0", 16))
        wire = WireContext(*ids, given["sampled"], given.get("debug", False), baggage=given.get("baggage", {}))
        yield f"{case['id']}.binary", b"binary\n" + binary.encode(wire)


def _vectors() -> Any:
    return json.loads(VECTORS.read_text(encoding="utf-8"))


def main() -> None:
    """Write the files; one that is no longer made goes."""
    made = seeds()
    SEEDS.mkdir(exist_ok=True)
    for file in SEEDS.iterdir():
        if file.name not in made:
            file.unlink()
    for name, content in made.items():
        (SEEDS / name).write_bytes(content)
    print(f"{len(made)} seeds in {SEEDS.name}/")


if __name__ == "__main__":
    main()
