// npm start: reads the environment, looks whether the database is one to work for, runs the worker,
// turns signals into a clean end. What is wrong at the start is said in one line each, and ends
// with 1.
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { pino } from "pino";
import { parseConfig } from "./config.ts";
import { openGemini } from "./gemini.ts";
import { createMetrics, serveHealth } from "./health.ts";
import { describeError, isPassing, openQueue } from "./queue.ts";
import { startWorker, type WorkerState } from "./worker.ts";

function end(...messages: string[]): never {
  process.stderr.write(messages.map((message) => `error: ${message}\n`).join(""));
  process.exit(1);
}

function readArguments() {
  try {
    return parseArgs({ options: { once: { type: "boolean", default: false } } }).values;
  } catch (error) {
    return end(`${describeError(error)}; usage: npm start [-- --once]`);
  }
}
const once = readArguments().once ?? false;

// What stands in .env counts where the environment says nothing, as it does for dbmate.
try {
  process.loadEnvFile?.();
} catch {
  // There is no .env.
}
const { config, faults } = parseConfig(process.env);
if (!config) end(...faults);

const log = pino({ level: config.LOG_LEVEL });
// What nobody has foreseen: where it was, and none of its words, which may be anybody's.
process.on("uncaughtException", ({ name, stack = "" }) => {
  const at = stack.split("\n").filter((line) => /^ +at /.test(line));
  log.fatal({ name, at }, "a fault of the worker's own");
  process.exit(1);
});
const stop = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.on(signal, () => {
    if (stop.signal.aborted) process.exit(1);
    log.info({ signal }, "stopping; once more to stop at once");
    stop.abort();
    // Whatever hangs, a connection that is half open among it.
    setTimeout(() => process.exit(once ? 1 : 0), config.GRACE_MS + 500).unref();
  });
}

let state: WorkerState | undefined;
const { registry, observer } = createMetrics(() => state);
if (config.HEALTH_PORT !== undefined) {
  await serveHealth({
    host: config.HEALTH_HOST,
    port: config.HEALTH_PORT,
    pollMs: config.POLL_INTERVAL_MS,
    registry,
    state: () => state,
  }).catch((error) => end(`HEALTH_PORT cannot be had: ${describeError(error)}`));
}

function open(databaseUrls: string[]) {
  try {
    return openQueue(databaseUrls, Math.min(config?.CONCURRENCY ?? 4, 8) + 1);
  } catch (error) {
    return end(`DATABASE_URL names what cannot be read: ${describeError(error)}`);
  }
}
const queue = open(config.DATABASE_URL);

/** Ends where the database is none to work for; says so where it was made by another version. */
async function check() {
  const source = await readFile(new URL("../sql/engine/state.sql", import.meta.url), "utf8");
  const worker = /pg-maintenance (.*, state \w+)/.exec(source)?.[1];
  for (let tried = 1; !stop.signal.aborted; tried += 1) {
    try {
      const { database, madeBy, faults } = await queue.check();
      const versions = `made by version ${madeBy ?? "unknown"}; this worker is of ${worker}`;
      if (faults.length > 0) {
        end(...faults.map((fault) => `the database ${database}: ${fault}`), versions);
      }
      if (madeBy !== worker) log.warn({ database: madeBy, worker }, "another version");
      return;
    } catch (error) {
      if (!isPassing(error) || (once && tried === 3)) {
        end(`the database of DATABASE_URL: ${describeError(error)}`);
      }
      log.error({ error: describeError(error) }, "postgres cannot be reached");
      const pause = Math.min(500 * 2 ** tried, 30_000);
      await sleep(pause, undefined, { signal: stop.signal }).catch(() => {});
    }
  }
}
await check();

const worker = startWorker({
  queue,
  model: openGemini({
    apiKey: config.GEMINI_API_KEY,
    baseUrl: config.GEMINI_BASE_URL,
    timeoutMs: config.REQUEST_TIMEOUT_MS,
  }),
  log,
  // The process, and no other one that is called the same on another machine of the same name.
  name: `${hostname()}:${process.pid}:${randomUUID().slice(0, 8)}`,
  kinds: config.KINDS,
  concurrency: config.CONCURRENCY,
  pollMs: config.POLL_INTERVAL_MS,
  leaseMs: config.LEASE_MS,
  graceMs: config.GRACE_MS,
  once,
  stop: stop.signal,
  observer,
});
state = worker.state;
log.info({ once, concurrency: config.CONCURRENCY, kinds: config.KINDS ?? "all" }, "started");
if (process.env["GEMINI_MODEL"]) {
  log.warn("GEMINI_MODEL is not read: the rows of maintenance.model say which model is asked");
}
await worker.done;
await Promise.race([queue.end(), sleep(1000)]);
const { failed, refused, left } = worker.state;
process.exit(failed || (once && (refused || left > 0)) ? 1 : 0);
