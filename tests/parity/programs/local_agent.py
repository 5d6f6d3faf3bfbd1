"""An agent that the configuration names, and the senders that are put together by hand."""

import os
import time

from jaeger_client import Config, ConstSampler, Tracer
from jaeger_client.local_agent_net import LocalAgentSender
from jaeger_client.reporter import Reporter


def main():
    host, port = os.environ.pop("JAEGER_AGENT_HOST"), int(os.environ.pop("JAEGER_AGENT_PORT"))
    config = Config(
        {
            "sampler": {"type": "const", "param": 1},
            "local_agent": {"reporting_host": host, "reporting_port": port, "sampling_port": 5778},
            "reporter_batch_size": 1,
        },
        service_name="named-agent",
        validate=True,
    )
    tracer = config.new_tracer()
    tracer.start_span("by-configuration").finish()
    closed = tracer.close()
    while not closed.done():
        time.sleep(0.01)

    sender = LocalAgentSender(host=host, sampling_port=5778, reporting_port=port)
    reporter = Reporter(channel=sender, queue_capacity=10, batch_size=2, flush_interval=0.1)
    print(reporter.queue_capacity, reporter.batch_size)
    tracer = Tracer(service_name="by-hand", reporter=reporter, sampler=ConstSampler(True))
    for number in range(3):
        tracer.start_span("by-hand-%d" % number).finish()
    closed = tracer.close()
    while not closed.done():
        time.sleep(0.01)
    try:
        Reporter(channel=sender, queue_capacity=1, batch_size=2)
    except ValueError:
        print("refused")


if __name__ == "__main__":
    main()
