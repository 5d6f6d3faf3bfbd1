"use strict";
// The HTTP side of the peers on Node; the protocol is that of serving.py.
const http = require("http");

const LIMIT_MS = 20000;

function call(path, headers) {
  if (path.length === 0) return Promise.resolve(null);
  const [host, port] = path[0].url.split(":");
  const body = JSON.stringify({ sampler: path[0].sampler, baggage: {}, path: path.slice(1) });
  return new Promise((resolve, reject) => {
    const request = http.request({ host, port, method: "POST", path: "/", headers, agent: false, timeout: LIMIT_MS });
    request.on("timeout", () => request.destroy(new Error("the next peer does not answer")));
    request.on("error", reject);
    request.on("response", async (response) => {
      const text = await read(response);
      if (response.statusCode === 200) resolve(JSON.parse(text));
      else reject(new Error(`HTTP ${response.statusCode} from the next peer: ${text}`));
    });
    request.setHeader("content-length", Buffer.byteLength(body));
    request.end(body);
  });
}

async function read(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts).toString("utf8");
}

// hop(headers, sampler, baggage, call) gives a promise of the answer; see report.
function serve(hop) {
  const server = http.createServer(async (request, response) => {
    let code = 200;
    let answer;
    try {
      const asked = JSON.parse(await read(request));
      answer = await hop(request.headers, asked.sampler, asked.baggage, (outgoing) => call(asked.path, outgoing));
    } catch (error) {
      code = 500;
      answer = { error: String(error.stack || error) };
    }
    response.writeHead(code, { connection: "close" });
    response.end(JSON.stringify(answer));
  });
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
  process.stdin.on("end", () => process.exit(0));
  process.stdin.resume();
}

function report(traceId, spanId, parentId, sampled, debug, baggage, next) {
  const parent = parentId && !/^0+$/.test(parentId) ? parentId.padStart(16, "0") : "";
  return {
    trace_id: traceId.padStart(32, "0"),
    span_id: spanId.padStart(16, "0"),
    parent_id: parent,
    sampled,
    debug,
    baggage,
    next,
  };
}

module.exports = { serve, report };
