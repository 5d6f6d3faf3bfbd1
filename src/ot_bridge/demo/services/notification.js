// notification-service: tells the customer. OpenTracing on npm's jaeger-client, untouched since 2021.
// It opens and closes as serving.py says: prints its port, reads the shop's addresses, ends with standard input.
"use strict";

const http = require("http");
const { initTracerFromEnv } = require("jaeger-client");
const { FORMAT_HTTP_HEADERS, Tags } = require("opentracing");

const config = {
  serviceName: "notification-service",
  sampler: { type: "const", param: 1 },
  reporter: { flushIntervalMs: 100 },
};
const tracer = initTracerFromEnv(config, {});

function tell(request, body, response) {
  const caller = tracer.extract(FORMAT_HTTP_HEADERS, request.headers);
  const span = tracer.startSpan("POST /messages", {
    childOf: caller,
    tags: { [Tags.SPAN_KIND]: Tags.SPAN_KIND_RPC_SERVER },
  });
  for (const name of ["uber-trace-id", "traceparent"]) {
    if (name in request.headers) span.setTag(`http.request.header.${name}`, request.headers[name]);
  }
  span.setTag("baggage.customer-tier", span.getBaggageItem("customer-tier") || "unknown");
  span.log({ event: "message.sent", text: body.paid ? "thank you" : "payment failed" });
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ told: true }));
  span.finish();
}

const server = http.createServer((request, response) => {
  let text = "";
  request.on("data", (chunk) => (text += chunk));
  request.on("end", () => tell(request, JSON.parse(text || "{}"), response));
});

server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.resume();
process.stdin.on("end", () => tracer.close(() => process.exit(0)));
