"""Without a sampler section the sampling server is asked, and until it answers one trace in a thousand is kept."""

import jaeger_client
from jaeger_client import Config
from jaeger_client.sampler import RemoteControlledSampler


def main():
    config = Config({"local_agent": {"sampling_port": 1}, "max_operations": 7}, service_name="asks")
    print("sampler", config.sampler)
    tracer = config.new_tracer()
    sampler = tracer.sampler
    print(
        type(sampler).__name__,
        isinstance(sampler, RemoteControlledSampler),
        isinstance(sampler, jaeger_client.RemoteControlledSampler),
    )
    print(sampler.service_name, sampler.sampling_refresh_interval, sampler.max_operations)
    sampled, tags = sampler.is_sampled(1, "rare")
    print(sampled, sorted(tags.items()))
    print(sampler.is_sampled(2**64 - 1)[0])
    tracer.close()


if __name__ == "__main__":
    main()
