// npm start: reads the environment, runs the worker, turns signals into a clean end.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { hostname } from "node:os";
import { parseArgs } from "node:util";
import { pino } from "pino";
import { parseConfig } from "./config.ts";
import { describeError, openGemini } from "./gemini.ts";
import { openQueue } from "./queue.ts";
import { startWorker, type WorkerState } from "./worker.ts";

function end(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

function readArguments() {
  try {
    return parseArgs({ options: { once: { type: "boolean", default: false } } }).values;
  } catch (error) {
    return end(`error: ${describeError(error)}\nusage: npm start [-- --once]`);
  }
}
const values = readArguments();

// What stands in .env counts where the environment says nothing, as it does for dbmate.
try {
  process.loadEnvFile?.();
} catch {
  // There is no .env.
}
const { config, faults } = parseConfig(process.env);
if (!config) end(faults.map((fault) => `error: ${fault}`).join("\n"));

const log = pino({ level: config.LOG_LEVEL });
const queue = openQueue(config.DATABASE_URL, Math.min(config.CONCURRENCY, 8) + 1);
const stop = new AbortController();
const worker = startWorker({
  queue,
  model: openGemini({
    apiKey: config.GEMINI_API_KEY,
    baseUrl: config.GEMINI_BASE_URL,
  }),
  log,
  name: `${hostname()}:${process.pid}`,
  concurrency: config.CONCURRENCY,
  pollMs: config.POLL_INTERVAL_MS,
  once: values.once,
  stop: stop.signal,
});
log.info({ once: values.once, concurrency: config.CONCURRENCY }, "started");
if (process.env["GEMINI_MODEL"]) {
  log.warn("GEMINI_MODEL is not read: the rows of maintenance.model say which model is asked");
}

/** Says so where the database was made by another version than this worker is of. */
async function compareVersions() {
  const state = await readFile(new URL("../sql/engine/state.sql", import.meta.url), "utf8");
  const worker = /pg-maintenance (.*, state \w+)/.exec(state)?.[1];
  const database = await queue.installed();
  if (database !== worker) {
    log.error(
      { database, worker },
      "the database was made by another version of pg-maintenance: run its worker, or make up",
    );
  }
}
const compared = compareVersions().catch((error) =>
  log.warn({ error: describeError(error) }, "versions could not be compared"),
);

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.on(signal, () => {
    if (stop.signal.aborted) process.exit(1);
    log.info({ signal }, "stopping; once more to stop at once");
    stop.abort();
  });
}

/** /livez: the loop moves. /readyz: Postgres answers, Gemini takes the configuration. */
function serveHealth(port: number, state: WorkerState, pollMs: number) {
  return createServer((request, response) => {
    const isLive = Date.now() - state.tickedAt < 3 * pollMs + 60_000;
    const isReady = state.ready && !state.failed && !stop.signal.aborted;
    const checks = new Map([
      ["/livez", isLive],
      ["/readyz", isReady],
    ]);
    const passes = checks.get(request.url ?? "");
    response.writeHead(passes === undefined ? 404 : passes ? 200 : 503).end();
  }).listen(port);
}
const health =
  config.HEALTH_PORT === undefined
    ? undefined
    : serveHealth(config.HEALTH_PORT, worker.state, config.POLL_INTERVAL_MS);

await worker.done;
await compared;
health?.close();
await queue.end();
process.exitCode = values.once && worker.state.failed ? 1 : 0;
