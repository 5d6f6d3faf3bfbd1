"""OTLP from our own encoder, under the official exporters' transports."""
