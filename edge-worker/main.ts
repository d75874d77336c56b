// npm start: reads the environment, looks whether the database is one to work for (--health ends
// there), runs the worker, turns signals into a clean end. What is wrong at the start is said in
// one line each, and ends with 1.
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { openStore } from "./blobs.ts";
import { parseConfig } from "./config.ts";
import { drain } from "./drain.ts";
import { openGemini } from "./gemini.ts";
import { createMetrics, serveHealth } from "./health.ts";
import { openLog } from "./log.ts";
import { describeError, triesOf } from "./postgres.ts";
import { openQueue } from "./queue.ts";
import { startWorker, type WorkerState } from "./worker.ts";

function end(...messages: string[]): never {
  process.stderr.write(messages.map((message) => `error: ${message}\n`).join(""));
  process.exit(1);
}

function readArguments() {
  try {
    const options = { once: { type: "boolean" }, health: { type: "boolean" } } as const;
    return parseArgs({ options }).values;
  } catch (error) {
    return end(`${describeError(error)}; usage: npm start [-- --once | --health]`);
  }
}
const { once = false, health = false } = readArguments();

if (!process.loadEnvFile) end("Node.js 20.12 or newer is needed");
// What stands in .env counts where the environment says nothing, as it does for dbmate.
try {
  process.loadEnvFile();
} catch {
  // There is no .env.
}
const { config, faults } = parseConfig(process.env);
if (!config) end(...faults);

const { log, flush } = openLog(config.LOG_LEVEL);
/** Ends when the log is written; and all the same where nobody reads it. */
async function leave(code: number): Promise<never> {
  if (await flush()) process.exit(code);
  process.kill(process.pid, "SIGKILL");
  throw new Error("not reached");
}
// What nobody has foreseen: where it was, and none of its words, which may be anybody's.
process.on("uncaughtException", ({ name, message, stack = "" }) => {
  const frames = stack.replace(message, "").split("\n");
  const at = frames.filter((line) => /^ +at .*:\d+:\d+\)?$/.test(line));
  log.fatal({ name, at }, "a fault of the worker's own");
  void leave(1);
});

const stop = new AbortController();
let stoppedAt = 0;
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.on(signal, () => {
    if (stop.signal.aborted) {
      // A terminal tells all of a group, and npm tells it once more.
      if (Date.now() - stoppedAt > 1000) process.exit(1);
      return;
    }
    stoppedAt = Date.now();
    log.info({ signal }, "stopping; once more to stop at once");
    stop.abort();
    // Whatever hangs, a connection that is half open among it.
    setTimeout(() => void leave(once ? 1 : 0), config.GRACE_MS + 250).unref();
  });
}

let state: WorkerState | undefined;
const { registry, observer, deleted } = createMetrics(() => state);
if (config.HEALTH_PORT !== undefined && !health) {
  await serveHealth({
    host: config.HEALTH_HOST,
    port: config.HEALTH_PORT,
    registry,
    state: () => state,
  }).catch((error) => end(`HEALTH_PORT cannot be had: ${describeError(error)}`));
}

function open(servers: string[][], connections: number) {
  try {
    return openQueue(servers, connections);
  } catch (error) {
    return end(`DATABASE_URL names what cannot be read: ${describeError(error)}`);
  }
}
const queue = open(config.DATABASE_URL, Math.min(config.CONCURRENCY, 8));

const store = config.BLOB_STORE
  ? await openStore({
      store: config.BLOB_STORE,
      prefix: config.BLOB_URL_PREFIX,
      region: config.AWS_REGION ?? config.AWS_DEFAULT_REGION,
      credentials: {
        accessKeyId: config.AWS_ACCESS_KEY_ID ?? "",
        secretAccessKey: config.AWS_SECRET_ACCESS_KEY ?? "",
        sessionToken: config.AWS_SESSION_TOKEN,
      },
    }).catch((error) => end(`BLOB_STORE ${describeError(error)}`))
  : undefined;

const source = await readFile(new URL("../sql/engine/state.sql", import.meta.url), "utf8");
const version = /pg-maintenance (.*, state \w+)/.exec(source)?.[1];

/** Ends where the database is none to work for; says so where it was made by another version. */
async function check() {
  for (let tries = 1; !stop.signal.aborted; tries += 1) {
    try {
      const { database, madeBy, faults } = await queue.check();
      if (faults.length > 0) {
        const versions = `made by version ${madeBy ?? "unknown"}; this worker is of ${version}`;
        const isOther = madeBy !== version || /^it has no function/.test(faults[0] ?? "");
        const all = isOther ? [...faults, versions] : faults;
        end(...all.map((fault) => `the database ${database}: ${fault}`));
      }
      if (madeBy !== version) {
        log.warn(
          { database: madeBy, worker: version },
          "another version made the database; it has all that this worker calls",
        );
      }
      return;
    } catch (error) {
      if (triesOf(error) < Number.POSITIVE_INFINITY || ((once || health) && tries === 3)) {
        end(`the database of DATABASE_URL: ${describeError(error)}`);
      }
      log.error({ error: describeError(error) }, "postgres cannot be reached");
      const pause = Math.min(500 * 2 ** tries, 30_000);
      await sleep(pause, undefined, { signal: stop.signal }).catch(() => {});
    }
  }
  log.info("stopped before Postgres could be reached");
  await leave(once || health ? 1 : 0);
}
await check();
if (health) {
  log.info("the configuration can be read, and the database is one to work for");
  await leave(0);
}

// The process, and no other one that is called the same on another machine of the same name.
const name = `${hostname()}:${process.pid}:${randomUUID().slice(0, 8)}`;
const loop = {
  queue,
  log,
  name,
  concurrency: config.CONCURRENCY,
  pollMs: config.POLL_INTERVAL_MS,
  leaseMs: config.LEASE_MS,
  graceMs: config.GRACE_MS,
  once,
  stop: stop.signal,
};
const worker = startWorker({
  ...loop,
  model: openGemini({
    apiKey: config.GEMINI_API_KEY,
    baseUrl: config.GEMINI_BASE_URL,
    timeoutMs: config.REQUEST_TIMEOUT_MS,
  }),
  version,
  kinds: config.KINDS,
  observer,
});
state = worker.state;
log.info(
  {
    once,
    concurrency: config.CONCURRENCY,
    kinds: config.KINDS ?? "all",
    blobs: store !== undefined,
  },
  "started",
);
if (process.env["GEMINI_MODEL"]) {
  log.warn("GEMINI_MODEL is not read: the rows of maintenance.model say which model is asked");
}
void worker.done.then(() => {
  if (worker.state.failed) stop.abort(); // the process ends as a whole
});
const drained = store ? drain({ ...loop, store, deleted }) : { failed: false };
const [blobs] = await Promise.all([drained, worker.done]);
await Promise.race([queue.end(), sleep(1000)]);
const { failed, refused, left } = worker.state;
await leave(failed || blobs.failed || (once && (refused || left > 0)) ? 1 : 0);
