// A worker that runs for a year: its memory does not grow with the tasks it has carried, and no
// answer is larger than it is ready to hold.
import assert from "node:assert/strict";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { gzipSync } from "node:zlib";
import { pino } from "pino";
import { ModelError } from "../../edge-worker/failure.ts";
import { openGemini } from "../../edge-worker/gemini.ts";
import { createMetrics } from "../../edge-worker/health.ts";
import type { Request, Task } from "../../edge-worker/queue.ts";
import { startWorker, type WorkerOptions } from "../../edge-worker/worker.ts";

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

/** What is in use when what can go is gone, sockets that have just been closed among it. */
async function heap(): Promise<number> {
  collectGarbage();
  await new Promise((resolve) => setTimeout(resolve, 100));
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

const request: Request = {
  model: "m",
  system: "s",
  content: "c",
  response_schema: {},
  max_output_tokens: 10,
  generation: {},
  request: {},
  timeout_ms: 60_000,
  wait_ms: 0,
};

/** A queue in memory: so many tasks, each third put off and each third given to fail. */
function queueOf(count: number): WorkerOptions["queue"] {
  let handedOut = 0;
  const available_at = new Date(Date.now() + 3_600_000).toISOString();
  return {
    async claim(_worker, most) {
      const tasks: Task[] = [];
      for (; tasks.length < most && handedOut < count; handedOut += 1) {
        tasks.push({ task_id: String(handedOut), kind: "k", lease_token: "t", attempt: 1 });
      }
      return { tasks, held: "", dueSeconds: 1 };
    },
    request: async () => request,
    extend: async () => true,
    complete: async (task) =>
      Number(task.task_id) % 3 === 0 ? { state: "ready", available_at } : { state: "succeeded" },
    fail: async () => ({ state: "ready", available_at }),
    release: async () => ({ state: "ready", available_at }),
  };
}

async function carry(count: number, once: boolean) {
  const stop = new AbortController();
  const { observer } = createMetrics(() => undefined);
  let left = count;
  const worker = startWorker({
    queue: queueOf(count),
    model: {
      async ask() {
        left -= 1;
        if (left === 0 && !once) setTimeout(() => stop.abort());
        if (left % 3 === 1) throw new ModelError("transient", "x", { usage: {} });
        return { text: "{}", usage: { promptTokenCount: 1 } };
      },
    },
    log: pino({ level: "silent" }),
    name: "test",
    concurrency: 32,
    pollMs: 50,
    leaseMs: 120_000,
    graceMs: 8000,
    once,
    stop: stop.signal,
    observer,
  });
  await worker.done;
  assert.equal(left, 0);
  return worker;
}

test("the heap does not grow over 200,000 tasks, as a service and with --once", async (t) => {
  for (const once of [false, true]) {
    await carry(10_000, once);
    const before = await heap();
    const worker = await carry(200_000, once);
    const grown = (await heap()) - before;
    t.diagnostic(`once ${once}: ${grown} bytes more after 200,000 tasks than before`);
    assert.equal(worker.state.inFlight, 0);
    assert(grown < 400_000, `${grown} bytes are left of 200,000 tasks, two a task`);
  }
});

test("--once: a task that is ready again during a claim is carried on, as each is", async () => {
  const task: Task = { task_id: "1", kind: "k", lease_token: "t", attempt: 1 };
  let isReady = true;
  let claims = 0;
  let answered = 0;
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const worker = startWorker({
    queue: {
      ...queueOf(0),
      async claim() {
        claims += 1;
        if (claims === 2) await ended; // it looks, and finds nothing; meanwhile the task goes on
        if (claims === 2 || !isReady) return { tasks: [], held: "", dueSeconds: 0 };
        isReady = false;
        return { tasks: [task], held: "", dueSeconds: 0 };
      },
      async complete() {
        answered += 1;
        isReady = answered < 2;
        setTimeout(end, 20);
        return { state: isReady ? "ready" : "succeeded" };
      },
    },
    model: { ask: async () => ({ text: "{}", usage: {} }) },
    log: pino({ level: "silent" }),
    name: "test",
    concurrency: 4,
    pollMs: 50,
    leaseMs: 120_000,
    graceMs: 8000,
    once: true,
    stop: new AbortController().signal,
  });
  await worker.done;
  assert.equal(answered, 2);
});

/** A server that does as it is told, and its address. */
async function serve(answer: (response: ServerResponse) => unknown) {
  const server = createServer((incoming, response) => {
    incoming.resume();
    answer(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close };
}

test("nor over 5,000 calls to the model, answered and refused", async (t) => {
  let calls = 0;
  const parts = [{ text: "{}" }];
  const answer = JSON.stringify({ candidates: [{ content: { parts }, finishReason: "STOP" }] });
  const server = await serve((response) => {
    calls += 1;
    if (calls % 2 === 0) response.writeHead(503);
    response.end(answer);
  });
  const model = openGemini({ apiKey: "k", baseUrl: server.url });
  const { signal } = new AbortController();
  const ask = async (count: number) => {
    for (let i = 0; i < count; i += 10) {
      await Promise.allSettled(Array.from({ length: 10 }, () => model.ask(request, signal)));
    }
  };
  await ask(1000);
  const before = await heap();
  await ask(5000);
  const grown = (await heap()) - before;
  t.diagnostic(`${grown} bytes more after 5,000 calls than before`);
  // Sockets and compiled code come and go; what a call leaves behind is more than this.
  assert(grown < 2_000_000, `${grown} bytes are left of 5,000 calls`);
  await server.close();
});

test("an answer without end is refused while it comes", async (t) => {
  let sent = 0;
  const piece = Buffer.alloc(1_000_000, " ");
  const server = await serve((response) => {
    const send = () => {
      while (!response.destroyed && sent < 2_000_000_000) {
        sent += piece.length;
        if (!response.write(piece)) return void response.once("drain", send);
      }
    };
    send();
  });
  t.after(() => server.close());
  const model = openGemini({ apiKey: "k", baseUrl: server.url });
  await assert.rejects(model.ask(request, new AbortController().signal), (error) => {
    assert(error instanceof ModelError);
    assert.equal(error.failureClass, "transient");
    assert.match(error.message, /^an answer of more than 10 MB: POST 127.0.0.1:\d+, m$/);
    return true;
  });
  assert(sent < 1_000_000_000, `${sent} bytes were sent`);
});

test("a packed answer is not unpacked: nothing asked for it", async (t) => {
  const server = await serve((response) => {
    response.writeHead(200, { "content-encoding": "gzip" });
    response.end(gzipSync(Buffer.alloc(100_000_000, " ")));
  });
  t.after(() => server.close());
  const model = openGemini({ apiKey: "k", baseUrl: server.url });
  await assert.rejects(model.ask(request, new AbortController().signal), /is no JSON object/);
});

test("a refusal's status counts, whatever its body does", async (t) => {
  for (const body of ["hangs", "is endless"]) {
    const server = await serve((response) => {
      response.writeHead(429, { "retry-after": "600" });
      response.write(Buffer.alloc(body === "hangs" ? 10 : 1_000_000, " "));
    });
    t.after(() => server.close());
    const model = openGemini({ apiKey: "k", baseUrl: server.url });
    await assert.rejects(model.ask(request, new AbortController().signal), (error) => {
      assert(error instanceof ModelError);
      assert.equal(error.failureClass, "defer");
      assert((error.retryAfterMs ?? 0) >= 600_000);
      return true;
    });
  }
});

test("an answer that breaks off may be billed: its call is no free one", async (t) => {
  const whole = JSON.stringify({ candidates: [{ content: { parts: [{ text: "{}" }] } }] });
  for (const sent of [0, whole.length - 3]) {
    const server = await serve((response) => {
      setTimeout(() => response.socket?.destroy(), 100);
      if (sent === 0) return;
      response.writeHead(200, { "content-length": whole.length });
      response.write(whole.slice(0, sent));
    });
    t.after(() => server.close());
    const model = openGemini({ apiKey: "k", baseUrl: server.url });
    await assert.rejects(model.ask(request, new AbortController().signal), (error) => {
      assert(error instanceof ModelError);
      assert.equal(error.failureClass, "transient");
      assert.match(error.message, /^the connection broke \(ECONNRESET\)/);
      return true;
    });
  }
});

test("a mark before the answer is no part of it", async (t) => {
  const answer = { candidates: [{ content: { parts: [{ text: "{}" }] }, finishReason: "STOP" }] };
  const server = await serve((response) => response.end(`\ufeff${JSON.stringify(answer)}`));
  t.after(() => server.close());
  const model = openGemini({ apiKey: "k", baseUrl: server.url });
  assert.equal((await model.ask(request, new AbortController().signal)).text, "{}");
});
