"""The real jaeger_client.Config reads the same dict and the same variables: both must find the same."""

from __future__ import annotations

import copy
import os
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ot_bridge import ConfigError
from ot_bridge.jaeger_config import translate

jaeger_client = pytest.importorskip("jaeger_client")

BOOLEANS = st.sampled_from(
    [True, False, None, 0, 1, 2, 1.0, "1", "0", "true", "True", "FALSE", "none", "yes", "no", "on", ""]
)
INTEGERS = st.sampled_from([1, 10, 1000, "10", " 20 ", "1_0", 7.9, True, "ten", "6831x", None, [], "-5", b"12"])
HOSTS = st.sampled_from(["agent", "10.0.0.7", "::1", "jaeger-agent.tracing.svc"])
SECTION = st.fixed_dictionaries(
    {},
    optional={
        "enabled": BOOLEANS,
        "reporting_host": HOSTS,
        "reporting_port": INTEGERS.filter(lambda value: value != "-5"),
        "sampling_port": INTEGERS.filter(lambda value: value != "-5"),
    },
)
THROTTLER = st.fixed_dictionaries(
    {},
    optional={
        "port": INTEGERS.filter(lambda value: value != "-5"),
        "refresh_interval": st.sampled_from([1, "7", 5.5, "x", None]),
    },
)
SAMPLER = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(
            ["const", "probabilistic", "ratelimiting", "rate_limiting", "", None, "remote", "Const", 5]
        ),
        "param": st.sampled_from(
            [True, False, 0, 1, 0.5, "0.25", "true", "yes", None, "1", 2, -1, "many", [], float("nan")]
        ),
    },
)
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "enabled": BOOLEANS,
        "logging": BOOLEANS,
        "generate_128bit_trace_id": BOOLEANS,
        "reporter_queue_size": INTEGERS,
        "reporter_batch_size": INTEGERS,
        "local_agent": SECTION | st.sampled_from([None, "agent", 7]),
        "throttler": THROTTLER | st.none(),
        "sampler": SAMPLER,
        "propagation": st.sampled_from(["b3", "B3", "jaeger", None]),
        "service_name": st.sampled_from(["dict", 7]),
        "tags": st.dictionaries(st.sampled_from(["team", "zone"]), st.sampled_from(["a", "b c"]), max_size=2),
    },
)
ENVIRONS = st.fixed_dictionaries(
    {},
    optional={
        "JAEGER_AGENT_HOST": HOSTS,
        "JAEGER_AGENT_PORT": st.sampled_from(["5775", " 1 ", "tcp://10.0.0.1:6831", "x"]),
        "JAEGER_TAGS": st.sampled_from(["team=env", "a=b, c = d"]),
        "JAEGER_TRACEID_128BIT": st.sampled_from(["true", "True", "1", "false"]),
        "JAEGER_SERVICE_NAME": st.just("not read"),
        "JAEGER_SAMPLER_TYPE": st.just("const"),
    },
)


def their_sampler(config: Any) -> str | None:
    """Return what the real client makes of the section, as a text; None for the remote one."""
    sampler = config.sampler
    if sampler is None:
        return None
    kind, argument = (
        type(sampler).__name__,
        next(iter(vars(sampler).keys() & {"decision", "rate", "traces_per_second"})),
    )
    names = {"ConstSampler": "const", "ProbabilisticSampler": "probabilistic", "RateLimitingSampler": "ratelimiting"}
    value = getattr(sampler, argument)
    return f"{names[kind]}:{int(value) if kind == 'ConstSampler' else repr(value)}"


def theirs(config: dict[str, Any]) -> dict[str, Any]:
    """Read everything through the real client's properties."""
    real = jaeger_client.Config(copy.deepcopy(config), service_name="argument")
    sizes = real.reporter_queue_size, real.reporter_batch_size
    if min(sizes) < 1:
        raise ValueError("the reporter never starts, or never rests")
    return {
        "service_name": str(real.service_name),
        "enabled": real.enabled,
        "logging": real.logging,
        "bits": 128 if real.generate_128bit_trace_id else 64,
        "agent": (
            real.local_agent_reporting_host,
            real.local_agent_reporting_port,
            real.local_agent_sampling_port,
            real.throttler_port,
            real.throttler_refresh_interval,
        ),
        "sampler": their_sampler(real),
        "b3": bool(real.propagation),
        "tags": dict(real.tags),
        "given sizes": {key: size for key, size in zip(SIZES, sizes, strict=True) if config.get(key) is not None},
    }


SIZES = ("reporter_queue_size", "reporter_batch_size")


def ours(config: dict[str, Any]) -> dict[str, Any]:
    found = translate(config, service_name="argument", environ=dict(os.environ))
    sampler = str(found.settings["sampler"])
    read = {row.key: row.places for row in found.rows}
    sizes = dict(zip(SIZES, ("OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"), strict=True))
    return {
        "service_name": found.service_name,
        "enabled": found.enabled,
        "logging": found.logging,
        "bits": found.settings["trace_id_bits"],
        "agent": tuple(found.agent),
        "sampler": None if sampler.startswith("remote:") else sampler,
        "b3": "extract" in found.settings,
        "tags": dict(found.resource),
        "given sizes": {key: int(read[key][name]) for key, name in sizes.items() if config.get(key) is not None},
    }


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=300)
@given(CONFIGS, ENVIRONS)
def test_both_read_the_same_from_the_same(config: dict[str, Any], environ: dict[str, str]) -> None:
    with mock.patch.dict(os.environ, environ):
        try:
            expected = theirs(config)
        except (ValueError, TypeError, AttributeError, AssertionError):
            # Where the real one fails we say what is wrong, or drop what is empty with a row.
            if None not in [config.get(key, 1) for key in SIZES]:
                with pytest.raises(ConfigError):
                    translate(config, service_name="argument")
            return
        found = ours(config)
    if expected["given sizes"].get("reporter_batch_size", 0) > expected["given sizes"].get("reporter_queue_size", 2048):
        expected["given sizes"]["reporter_batch_size"] = expected["given sizes"].get("reporter_queue_size", 2048)
    assert found == expected


@pytest.mark.parametrize("text", ["a=b=c", "a", "a=b,"])
def test_real_client_fails_over_the_tags_that_are_read_here(text: str) -> None:
    with mock.patch.dict(os.environ, {"JAEGER_TAGS": text}), pytest.raises(ValueError, match="unpack"):
        _ = jaeger_client.Config({}, service_name="s").tags


@pytest.mark.parametrize(
    ("key", "default", "ours"),
    [
        ("trace_id_header", "uber-trace-id", "trace_id_header"),
        ("baggage_header_prefix", "uberctx-", "baggage_header_prefix"),
        ("debug_id_header", "jaeger-debug-id", "debug_id_header"),
    ],
)
def test_headers_are_the_real_clients(key: str, default: str, ours: str) -> None:
    from jaeger_client.codecs import TextCodec

    assert getattr(jaeger_client.Config({}, service_name="s"), key) == default
    codec = TextCodec(**{key: "X_Some_Header-"})
    theirs = {"trace_id_header": codec.trace_id_header, "baggage_header_prefix": codec.baggage_prefix}
    theirs["debug_id_header"] = codec.debug_id_header
    assert translate({key: "X_Some_Header-"}, environ={}).settings[ours] == theirs[key]
