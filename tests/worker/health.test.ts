// What the outside can ask of a worker: /livez, /readyz and /metrics.
import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { after, before, beforeEach, test } from "node:test";
import { createMetrics, serveHealth } from "../../edge-worker/health.ts";
import { startWorker, type WorkerState } from "../../edge-worker/worker.ts";
import { openProxy } from "./proxy.ts";
import {
  databaseUrl,
  db,
  enqueue,
  forget,
  gate,
  quiet,
  setUp,
  startProgram,
  until,
  words,
} from "./setup.ts";
import { type Reply, startStandIn } from "./stand-in.ts";

before(setUp);
beforeEach(forget);
after(() => db.end());

const word: Reply = { text: '{"word": "x"}' };

/** A port that nobody has, as good as for certain. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The status of a path; 0 where nobody answers. */
const status = (port: number, path: string, host = "127.0.0.1") =>
  fetch(`http://${host}:${port}${path}`).then(
    (response) => response.status,
    () => 0,
  );

test("ready, and no more where the key is refused; that is no reason to be restarted", async () => {
  const standIn = await startStandIn(() => word, { keys: ["right"] });
  const port = await freePort();
  const program = startProgram(standIn.url, { HEALTH_PORT: String(port) });
  await until("it is ready", async () => (await status(port, "/readyz")) === 200);
  assert.equal(await status(port, "/livez"), 200);
  assert.equal(await status(port, "/else"), 404);
  await enqueue("wrong key");
  await until("it is not", async () => (await status(port, "/readyz")) === 503);
  assert.equal(await status(port, "/livez"), 200);
  program.child.kill("SIGTERM");
  assert.equal(await program.exit, 0);
  await standIn.close();
});

test("while an answer waits for Postgres it lives and is not ready", async () => {
  const held = gate();
  const standIn = await startStandIn(async () => {
    await held.opened;
    return word;
  });
  const proxy = await openProxy(databaseUrl);
  const port = await freePort();
  await enqueue("waits for Postgres");
  const program = startProgram(standIn.url, {
    DATABASE_URL: proxy.url(databaseUrl),
    HEALTH_PORT: String(port),
    CONCURRENCY: "1",
  });
  await until("the call is made", () => standIn.seen.length === 1);
  assert.equal(await status(port, "/readyz"), 200);
  proxy.refuse(true);
  held.open();
  // Long before the lease is extended, which would tell it too.
  await until("it is not ready", async () => (await status(port, "/readyz")) === 503, 10_000);
  assert.equal(await status(port, "/livez"), 200);
  proxy.refuse(false);
  await until("it is again", async () => (await status(port, "/readyz")) === 200);
  await until(
    "the answer is applied",
    async () => (await words("waits for Postgres")).length === 1,
  );
  assert.equal(standIn.seen.length, 1);
  program.child.kill("SIGTERM");
  assert.equal(await program.exit, 0);
  await standIn.close();
  await proxy.close();
});

test("while the model thinks and Postgres is gone it is not ready", async () => {
  const standIn = await startStandIn(() => "hang headers");
  const proxy = await openProxy(databaseUrl);
  const port = await freePort();
  await enqueue("thinks");
  const program = startProgram(standIn.url, {
    DATABASE_URL: proxy.url(databaseUrl),
    HEALTH_PORT: String(port),
    CONCURRENCY: "1",
    LEASE_MS: "10000",
    GRACE_MS: "500",
  });
  await until("the call is made", () => standIn.seen.length === 1);
  proxy.refuse(true);
  await until("it is not ready", async () => (await status(port, "/readyz")) === 503, 10_000);
  proxy.refuse(false);
  await until("it is again", async () => (await status(port, "/readyz")) === 200, 10_000);
  program.child.kill("SIGTERM");
  assert.equal(await program.exit, 0);
  await standIn.close();
  await proxy.close();
});

test("before Postgres has been reached once it lives and is not ready", async () => {
  const port = await freePort();
  const proxy = await openProxy(databaseUrl);
  proxy.refuse(true);
  const program = startProgram("http://127.0.0.1:1", {
    DATABASE_URL: proxy.url(databaseUrl),
    HEALTH_PORT: String(port),
  });
  await until("it lives", async () => (await status(port, "/livez")) === 200);
  assert.equal(await status(port, "/readyz"), 503);
  proxy.refuse(false);
  await until("it is ready", async () => (await status(port, "/readyz")) === 200);
  program.child.kill("SIGTERM");
  assert.equal(await program.exit, 0);
  await proxy.close();
});

test("what it says of what it is doing", async (t) => {
  const state: WorkerState = {
    ready: true,
    unanswered: new Set(),
    refused: false,
    failed: false,
    left: 0,
    inFlight: 0,
    dueSeconds: 0,
    aliveUntil: Number.POSITIVE_INFINITY,
  };
  const port = await freePort();
  const server = await serveHealth({
    host: "127.0.0.1",
    port,
    registry: createMetrics(() => state).registry,
    state: () => state,
  });
  t.after(() => server.close());
  const both = async () => [await status(port, "/livez"), await status(port, "/readyz")];
  assert.deepEqual(await both(), [200, 200]);
  state.unanswered.add({ since: Date.now() - 5000 });
  assert.deepEqual(await both(), [200, 200], "Postgres takes its time");
  state.unanswered.add({ since: Date.now() - 16_000 });
  assert.deepEqual(await both(), [200, 503], "Postgres does not answer");
  state.unanswered.clear();
  state.refused = true;
  assert.deepEqual(await both(), [200, 503], "Gemini refuses the configuration");
  state.refused = false;
  state.aliveUntil = Date.now() - 1;
  assert.deepEqual(await both(), [503, 200], "the loop is stuck");
  assert.equal(await status(port, "/livez?verbose"), 503);
});

test("the loop says when it comes by again, also with all slots full and long pauses", async () => {
  const stop = new AbortController();
  let asked = 0;
  const worker = startWorker({
    queue: {
      claim: async () => ({
        tasks: [{ task_id: "1", kind: "k", lease_token: "t", attempt: 1 }],
        held: "",
        dueSeconds: 0,
      }),
      request: async () => null,
      extend: async () => true,
      complete: async () => ({ state: "succeeded" }),
      fail: async () => ({ state: "ready" }),
      release: async () => ({ state: "ready" }),
    },
    model: { ask: () => assert.fail("it has nothing to ask") },
    log: quiet,
    name: "test",
    concurrency: 1,
    pollMs: 3_600_000,
    leaseMs: 120_000,
    graceMs: 1000,
    once: false,
    stop: stop.signal,
    observer: {
      called: () => {},
      carried: () => {
        asked += 1;
        if (asked === 3) stop.abort();
      },
    },
  });
  await until("it waits", () => worker.state.aliveUntil < Number.POSITIVE_INFINITY);
  const seconds = (worker.state.aliveUntil - Date.now()) / 1000;
  assert(seconds > 0 && seconds <= 600, `it comes by within ${seconds} s`);
  await worker.done;
  assert.equal(worker.state.aliveUntil, Number.POSITIVE_INFINITY, "what ends has a deadline");
});

test("a port that is taken is said in one line, before anything is claimed", async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const { port } = other.address() as AddressInfo;
  await enqueue("port");
  const program = startProgram("http://127.0.0.1:1", { HEALTH_PORT: String(port) });
  assert.equal(await program.exit, 1);
  other.close();
  assert.match(program.output(), /^error: HEALTH_PORT cannot be had: .*EADDRINUSE.*\n$/);
  const { rows } = await db.query("select claims from maintenance.task");
  assert.deepEqual(rows, [{ claims: 0 }]);
});

test("it listens on this machine alone, unless HEALTH_HOST says otherwise", async (t) => {
  const others = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ family, internal }) => family === "IPv4" && !internal);
  const outside = others[0]?.address ?? "127.0.0.2";
  const standIn = await startStandIn(() => word);
  t.after(() => standIn.close());
  for (const [host, expected] of [
    ["", 0],
    ["0.0.0.0", 200],
  ] as const) {
    const port = await freePort();
    const program = startProgram(standIn.url, { HEALTH_PORT: String(port), HEALTH_HOST: host });
    await until("it lives", async () => (await status(port, "/livez")) === 200);
    assert.equal(await status(port, "/livez", outside), expected, `HEALTH_HOST=${host}`);
    program.child.kill("SIGTERM");
    assert.equal(await program.exit, 0);
  }
});

test("/metrics counts what was done, as Prometheus reads it", async () => {
  const usage = {
    promptTokenCount: 100,
    cachedContentTokenCount: 40,
    candidatesTokenCount: 7,
    thoughtsTokenCount: 3,
  };
  const held = gate();
  const standIn = await startStandIn(async ({ content }) => {
    if (content === "metrics slow") await held.opened;
    return content === "metrics bad"
      ? { status: 500, error: { status: "INTERNAL", message: "x" } }
      : { text: '{"word": "x"}', usage };
  });
  const port = await freePort();
  for (const subject of ["metrics slow", "metrics good"]) await enqueue(subject);
  await db.query("update maintenance.task set available_at = now() - interval '1 hour'");
  const program = startProgram(standIn.url, { HEALTH_PORT: String(port), CONCURRENCY: "1" });
  const read = async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  await until("one is asked", () => standIn.seen.length === 1);
  let text = await read();
  const value = (name: string, labels = "") => {
    const line = text
      .split("\n")
      .find((one) => one.startsWith(`${name}${labels} `) || one.startsWith(`${name}{${labels}} `));
    return line === undefined ? undefined : Number(line.split(" ").at(-1));
  };
  const model = 'model="gemini-3.5-flash-lite"';
  assert.equal(value("edge_worker_in_flight"), 1);
  assert.equal(value("edge_worker_ready"), 1);
  const due = value("edge_worker_oldest_due_seconds") ?? 0;
  assert(due >= 3600 && due < 3700, `the oldest was due for ${due} s`);
  held.open();
  await until("the other is done", async () => (await words("metrics good")).length === 1);
  await enqueue("metrics bad");
  await until("all is counted", async () => {
    text = await read();
    return value("edge_worker_tasks_total", 'kind="echo",result="transient"') === 1;
  });
  assert.equal(value("edge_worker_tasks_total", 'kind="echo",result="answered"'), 2);
  assert.equal(value("edge_worker_call_seconds_count", `${model},result="answered"`), 2);
  assert.equal(value("edge_worker_call_seconds_count", `${model},result="transient"`), 1);
  assert.equal(value("edge_worker_tokens_total", `${model},type="input"`), 200);
  assert.equal(value("edge_worker_tokens_total", `${model},type="cached"`), 80);
  assert.equal(value("edge_worker_tokens_total", `${model},type="output"`), 14);
  assert.equal(value("edge_worker_tokens_total", `${model},type="thoughts"`), 6);
  assert((value("process_resident_memory_bytes") ?? 0) > 0);
  program.child.kill("SIGTERM");
  assert.equal(await program.exit, 0);
  await standIn.close();
});
