"""What Config tells about itself, what it refuses, and what it makes of odd values."""

import os

from jaeger_client import Config

PROPERTIES = [
    "service_name", "enabled", "logging", "trace_id_header", "baggage_header_prefix", "debug_id_header",
    "generate_128bit_trace_id", "max_tag_value_length", "max_traceback_length", "reporter_batch_size",
    "reporter_queue_size", "reporter_flush_interval", "sampling_refresh_interval", "local_agent_enabled",
    "local_agent_sampling_port", "local_agent_reporting_port", "local_agent_reporting_host", "max_operations", "tags",
    "throttler_port", "throttler_refresh_interval", "metrics",
]  # fmt: skip

CONFIGS = [
    {},
    {
        "logging": "yes", "enabled": "false", "reporter_batch_size": "5", "reporter_queue_size": 50,
        "reporter_flush_interval": 0.5, "sampling_refresh_interval": 30, "max_operations": 10, "tags": {"a": 1},
        "trace_id_header": "X-Trace", "baggage_header_prefix": "X-Bag-", "debug_id_header": "X-Debug",
        "generate_128bit_trace_id": 1, "max_tag_value_length": 10, "max_traceback_length": 20,
        "local_agent": {"enabled": 0, "reporting_host": "agent", "reporting_port": "6831", "sampling_port": "x"},
        "throttler": {"port": "7777", "refresh_interval": 3}, "service_name": "from-the-dict",
    },
    {"logging": "TRUE", "enabled": None, "local_agent": None, "throttler": {}},
]  # fmt: skip

SAMPLERS = [
    {"type": "const", "param": "true"}, {"type": "const", "param": 0}, {"type": "const"},
    {"type": "const", "param": "x"},
    {"type": "probabilistic", "param": 0.5}, {"type": "probabilistic", "param": "0.25"},
    {"type": "ratelimiting", "param": 2}, {"type": "rate_limiting", "param": "3"}, {}, {"type": ""},
    {"type": "remote", "param": 1}, {"type": "probabilistic", "param": 2}, {"type": "Const", "param": 1},
]  # fmt: skip


def main():
    # the port of the agent is the machine's affair
    os.environ.pop("JAEGER_AGENT_HOST", None), os.environ.pop("JAEGER_AGENT_PORT", None)
    for dictionary in CONFIGS:
        config = Config(dictionary, service_name="from-the-argument")
        for name in PROPERTIES:
            print(name, repr(getattr(config, name)))
        print("kept", sorted(config.propagation))
    for section in SAMPLERS:
        try:
            print(section, str(Config({"sampler": section}, service_name="s").sampler))
        except (ValueError, AssertionError):
            print(section, "refused")
    for arguments in (({},), ({"unknown": 1}, None, "s", None, True), ({"service_name": ""},)):
        try:
            print(Config(*arguments).service_name)
        except ValueError:
            print("refused", arguments)
    print(Config({"unknown": 1}, service_name="s").service_name)
    print(
        Config(
            config={"sampler": {"type": "const"}, "propagation": "b3", "tags": {}}, service_name="s", validate=True
        ).service_name
    )

    os.environ.update(
        JAEGER_AGENT_HOST="host.of.the.environment",
        JAEGER_AGENT_PORT="1234",
        JAEGER_TAGS="zone=b, rack = 7",
        JAEGER_TRACEID_128BIT="true",
    )
    config = Config({"tags": {"zone": "a", "own": 1}, "local_agent": {"reporting_port": 99}}, service_name="s")
    print(config.local_agent_reporting_host, config.local_agent_reporting_port, config.generate_128bit_trace_id)
    print(sorted(config.tags.items()))
    print(Config({"generate_128bit_trace_id": False}, service_name="s").generate_128bit_trace_id)
    os.environ["JAEGER_AGENT_PORT"] = "68x31"
    print(Config({}, service_name="s").local_agent_reporting_port)
    os.environ["JAEGER_TAGS"] = "a=b=c"
    try:
        print(Config({}, service_name="s").tags)
    except ValueError:
        print("refused")


if __name__ == "__main__":
    main()
