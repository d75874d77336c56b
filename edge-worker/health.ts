// What the outside can ask of a worker: whether it lives, whether it can work, and what it has
// done.
import { createServer, type Server } from "node:http";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Observer, WorkerState } from "./worker.ts";

/** The metrics of a worker, and how it tells them. */
export function createMetrics(state: () => WorkerState | undefined): {
  registry: Registry;
  observer: Observer;
  deleted(result: string): void;
} {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const tasks = new Counter({
    name: "edge_worker_tasks_total",
    help: "Tasks that this worker is done with, by kind and what came of them",
    labelNames: ["kind", "result"],
    registers,
  });
  const seconds = new Histogram({
    name: "edge_worker_call_seconds",
    help: "Calls to the model, by model and what came of them",
    labelNames: ["model", "result"],
    buckets: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80],
    registers,
  });
  const tokens = new Counter({
    name: "edge_worker_tokens_total",
    help: "Tokens of calls, by model and type; input has the cached ones in it",
    labelNames: ["model", "type"],
    registers,
  });
  const blobs = new Counter({
    name: "edge_worker_blobs_total",
    help: "Blobs that this worker is done with, by what came of them",
    labelNames: ["result"],
    registers,
  });
  new Gauge({
    name: "edge_worker_in_flight",
    help: "Tasks that this worker holds now",
    registers,
    collect() {
      this.set(state()?.inFlight ?? 0);
    },
  });
  new Gauge({
    name: "edge_worker_ready",
    help: "1 where Postgres takes what it is given, and Gemini the configuration",
    registers,
    collect() {
      this.set(Number(isReady(state())));
    },
  });
  new Gauge({
    name: "edge_worker_oldest_due_seconds",
    help: "How long the oldest task had been due when the last claim came by",
    registers,
    collect() {
      this.set(state()?.dueSeconds ?? 0);
    },
  });
  const types = {
    input: "promptTokenCount",
    cached: "cachedContentTokenCount",
    output: "candidatesTokenCount",
    thoughts: "thoughtsTokenCount",
  };
  return {
    registry,
    deleted: (result) => blobs.inc({ result }),
    observer: {
      carried: (kind, result) => tasks.inc({ kind, result }),
      called(model, result, ms, usage) {
        seconds.observe({ model, result }, ms / 1000);
        for (const [type, name] of Object.entries(types)) {
          const count = Number(usage[name] ?? 0);
          if (count > 0) tokens.inc({ model, type }, count);
        }
      },
    },
  };
}

/** How long a call to Postgres may be without an answer before that is said. */
const patienceMs = 15_000;

function isReady(state: WorkerState | undefined): boolean {
  const oldest = Math.min(...[...(state?.unanswered ?? [])].map(({ since }) => since));
  return Boolean(state?.ready && !state.refused) && Date.now() - oldest < patienceMs;
}

/**
 * Serves /livez (the loop moves), /readyz (Postgres takes what it is given, and Gemini the
 * configuration) and /metrics, for Prometheus. Rejects where the port cannot be had.
 */
export async function serveHealth(options: {
  host: string;
  port: number;
  registry: Registry;
  state: () => WorkerState | undefined;
}): Promise<Server> {
  const { state, registry } = options;
  const server = createServer(async (request, response) => {
    const passes = {
      "/livez": () => Date.now() < (state()?.aliveUntil ?? Number.POSITIVE_INFINITY),
      "/readyz": () => isReady(state()),
      "/metrics": () => true,
    }[(request.url ?? "").split("?")[0] as string];
    if (!passes) return response.writeHead(404).end();
    response.writeHead(passes() ? 200 : 503, { "content-type": registry.contentType });
    return response.end(request.url?.startsWith("/metrics") ? await registry.metrics() : "");
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.host, resolve);
  });
  return server;
}
