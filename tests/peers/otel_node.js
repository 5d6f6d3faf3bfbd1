"use strict";
// A native OpenTelemetry service with the propagators that are its default: tracecontext and baggage.
const { ROOT_CONTEXT, SpanKind, TraceFlags, defaultTextMapGetter, defaultTextMapSetter, propagation, trace } =
  require("@opentelemetry/api");
const { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } = require("@opentelemetry/core");
const { AlwaysOffSampler, AlwaysOnSampler, NodeTracerProvider, ParentBasedSampler } =
  require("@opentelemetry/sdk-trace-node");
const { report, serve } = require("./serving.js");

const tracers = {};
for (const [name, root] of [["on", new AlwaysOnSampler()], ["off", new AlwaysOffSampler()]]) {
  tracers[name] = new NodeTracerProvider({ sampler: new ParentBasedSampler({ root }) }).getTracer("peer");
}
const propagator = new CompositePropagator({
  propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()],
});

serve(async (headers, sampler, baggage, call) => {
  let context = propagator.extract(ROOT_CONTEXT, headers, defaultTextMapGetter);
  const remote = trace.getSpanContext(context);
  const span = tracers[sampler].startSpan("hop", { kind: SpanKind.SERVER }, context);
  context = trace.setSpan(context, span);
  let items = propagation.getBaggage(context) || propagation.createBaggage();
  for (const [key, value] of Object.entries(baggage)) items = items.setEntry(key, { value });
  context = propagation.setBaggage(context, items);
  const outgoing = {};
  propagator.inject(context, outgoing, defaultTextMapSetter);
  const next = await call(outgoing);
  span.end();
  const own = span.spanContext();
  // A span that is not sampled has no parent to show.
  const parent = span.isRecording() || span.parentSpanContext ? span.parentSpanContext : remote;
  // The only debug flag that a native service knows of is the one that it passes on without knowing.
  const debug = Boolean(own.traceState && own.traceState.get("jaeger") === "d:1");
  const seen = Object.fromEntries(items.getAllEntries().map(([key, entry]) => [key, entry.value]));
  const sampled = (own.traceFlags & TraceFlags.SAMPLED) !== 0;
  return report(own.traceId, own.spanId, parent ? parent.spanId : "", sampled, debug, seen, next);
});
