"use strict";
// A service on npm's jaeger-client.
const { ConstSampler, InMemoryReporter, Tracer } = require("jaeger-client");
const { FORMAT_HTTP_HEADERS } = require("opentracing");
const { report, serve } = require("./serving.js");

const tracers = {};
for (const name of ["on", "off"]) {
  const reporter = new InMemoryReporter();
  reporter.report = () => {};
  tracers[name] = new Tracer("peer", reporter, new ConstSampler(name === "on"));
}

serve(async (headers, sampler, baggage, call) => {
  const tracer = tracers[sampler];
  const parent = tracer.extract(FORMAT_HTTP_HEADERS, headers);
  const span = tracer.startSpan("hop", { childOf: parent, tags: { "span.kind": "server" } });
  for (const [key, value] of Object.entries(baggage)) span.setBaggageItem(key, value);
  const outgoing = {};
  tracer.inject(span.context(), FORMAT_HTTP_HEADERS, outgoing);
  const next = await call(outgoing);
  span.finish();
  const own = span.context();
  const ids = [own.traceIdStr, own.spanIdStr, own.parentIdStr];
  return report(...ids, own.isSampled(), own.isDebug(), own.baggage, next);
});
