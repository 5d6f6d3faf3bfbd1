"""Every kind of value that applications hand to set_tag."""

import datetime
import decimal
import enum
import time
import uuid

from jaeger_client import Config


class Level(enum.IntEnum):
    LOW = 1


class Colour(str, enum.Enum):
    RED = "red"


class Plain(enum.Enum):
    ONE = 1


class Order:
    def __str__(self):
        return "order 17"


class Broken:
    def __str__(self):
        raise RuntimeError("no text for you")


class Text(str):
    pass


class Number(int):
    pass


VALUES = [
    ("bool.true", True),
    ("bool.false", False),
    ("int", 7),
    ("int.negative", -7),
    ("int.largest", 2**63 - 1),
    ("float", 1.5),
    ("float.whole", 2.0),
    ("float.nan", float("nan")),
    ("float.inf", float("-inf")),
    ("str", "text"),
    ("str.empty", ""),
    ("str.unicode", "gr\u00fc\u00dfe \u2603 \U0001f40d"),
    ("str.newline", "two\nlines"),
    ("none", None),
    ("bytes", b"raw"),
    ("bytes.binary", b"\xff\x00"),
    ("bytearray", bytearray(b"raw")),
    ("list.int", [1, 2, 3]),
    ("list.str", ["a", "b"]),
    ("list.mixed", [1, "a", None]),
    ("list.empty", []),
    ("list.nested", [[1], [2]]),
    ("tuple", (1.5, 2.5)),
    ("dict", {"a": 1, "b": [True]}),
    ("set", {5}),
    ("decimal", decimal.Decimal("1.10")),
    ("datetime", datetime.datetime(2020, 1, 2, 3, 4, 5)),
    ("date", datetime.date(2020, 1, 2)),
    ("timedelta", datetime.timedelta(seconds=90)),
    ("uuid", uuid.UUID(int=5)),
    ("complex", 1 + 2j),
    ("enum", Plain.ONE),
    ("enum.int", Level.LOW),
    ("enum.str", Colour.RED),
    ("class", ValueError),
    ("exception", ValueError("bad input")),
    ("object", Order()),
    ("object.broken", Broken()),
    ("subclass.str", Text("subclass")),
    ("subclass.int", Number(11)),
    ("range", range(3)),
]

KEYS = [(1, "int key"), (b"bytes", "bytes key"), (("a", 1), "tuple key"), ("dotted.key", "x"), ("Upper", "x")]


def main():
    tracer = Config({"sampler": {"type": "const", "param": 1}}, service_name="values").new_tracer()
    given = dict(VALUES)
    tracer.start_span("tags-at-start", tags=given).finish()
    span = tracer.start_span("tags-after-start")
    for key, value in VALUES:
        span.set_tag(key, value)
    span.finish()
    span = tracer.start_span("tag-keys")
    for key, value in KEYS:
        span.set_tag(key, value)
    span.set_tag("repeated", 1).set_tag("repeated", "two")
    span.finish()
    closed = tracer.close()
    while not closed.done():
        time.sleep(0.01)


if __name__ == "__main__":
    main()
