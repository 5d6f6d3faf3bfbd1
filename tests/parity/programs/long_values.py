"""Long tag values, logs and stack traces: with the limits of the configuration, and without."""

import time

from jaeger_client import Config

TEMPLATE = """
def deep(levels):
    if levels:
        return deep(levels - 1)
    raise ValueError("at the bottom")

def render(span):
    try:
        deep(100)
    except ValueError:
        span.log_kv({"event": "where", "stack": sys.exc_info()[2]})
"""


def work(tracer, name):
    span = tracer.start_span(name, tags={"start.long": "s" * 3000})
    span.set_tag("long", "x" * 3000).set_tag("short", "y" * 10).set_tag("unicode", "\u2603" * 3000)
    span.log_kv({"event": "long log", "text": "z" * 3000, "message": "m" * 3000})
    template = {}
    exec(compile("import sys\n" + TEMPLATE, "template.html", "exec"), template)
    template["render"](span)
    span.finish()
    return span


def main():
    for name, limits in (("limited", {"max_tag_value_length": 100, "max_traceback_length": 50}), ("unlimited", {})):
        config = Config(
            dict(limits, sampler={"type": "const", "param": 1}, tags={"process": "p" * 3000}),
            service_name=name,
            validate=True,
        )
        tracer = config.new_tracer()
        print(tracer.max_tag_value_length, tracer.max_traceback_length)
        work(tracer, name)
        closed = tracer.close()
        while not closed.done():
            time.sleep(0.01)


if __name__ == "__main__":
    main()
