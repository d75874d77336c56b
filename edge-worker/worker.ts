// The loop: claims tasks while a slot is free, carries each to the model and back. It knows no kind
// of task, no SQL and no Gemini; what an answer or a failure means is decided in Postgres.
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { describeError, type Model, ModelError } from "./gemini.ts";
import {
  type Failure,
  isLeaseLost,
  isPassing,
  type Outcome,
  type Queue,
  type Task,
} from "./queue.ts";

export type WorkerOptions = {
  queue: Omit<Queue, "end" | "installed">;
  model: Model;
  log: Logger;
  name: string;
  concurrency: number;
  pollMs: number;
  /** Work until nothing is due and nothing of its own is in flight, then return. */
  once: boolean;
  /** Aborted: claim no more, let calls in flight end for a while, give the rest back. */
  stop: AbortSignal;
  leaseMs?: number;
  graceMs?: number;
};

/** What a worker is doing, for its health check; and how it ended. */
export type WorkerState = {
  ready: boolean;
  /** The Gemini configuration was refused, or the database could not be reached. */
  failed: boolean;
  tickedAt: number;
};

/** Runs until it is stopped or, with once, until nothing is due. */
export function startWorker(options: WorkerOptions): { state: WorkerState; done: Promise<void> } {
  const { queue, model, log, once, stop, concurrency } = options;
  const leaseMs = options.leaseMs ?? 120_000;
  const graceMs = options.graceMs ?? 8_000;
  const state: WorkerState = { ready: false, failed: false, tickedAt: Date.now() };
  const inFlight = new Set<Promise<void>>();
  const giveBack = new AbortController();
  const putOff: string[] = [];
  let held = "";
  let served = 0;
  let pausedUntil = 0;

  /** Waits for a time, a stop or the end of a call. */
  async function wait(ms: number, calls: Iterable<Promise<void>> = inFlight) {
    const timer = new AbortController();
    const signal = AbortSignal.any([stop, timer.signal]);
    await Promise.race([sleep(ms, undefined, { signal }).catch(() => {}), ...calls]);
    timer.abort();
  }

  /** Repeats a call to Postgres until it is there again; the lease token makes that harmless. */
  async function persist<T>(task: Task, call: () => Promise<T>): Promise<T | null> {
    for (let pause = 250; ; pause = Math.min(pause * 2, 10_000)) {
      try {
        return await call();
      } catch (error) {
        if (isLeaseLost(error)) return null;
        log.warn(
          { task_id: task.task_id, error: describeError(error) },
          "postgres did not take it",
        );
        if (giveBack.signal.aborted || !isPassing(error)) throw error;
        await sleep(pause, undefined, { signal: giveBack.signal }).catch(() => {});
      }
    }
  }

  async function carry(task: Task) {
    const started = performance.now();
    const lost = new AbortController();
    const heartbeat = setInterval(() => {
      queue.extend(task, leaseMs).then(
        (kept) => kept || lost.abort(),
        (error) => log.warn({ error: describeError(error) }, "the lease could not be extended"),
      );
    }, leaseMs / 4);
    let result = "not asked: closed, or given back";
    let outcome: Outcome | null = null;
    try {
      const request = await persist(task, () => queue.request(task));
      if (request) {
        try {
          const signal = AbortSignal.any([lost.signal, giveBack.signal]);
          if (request.wait_ms > 0) await sleep(request.wait_ms, undefined, { signal });
          const answer = await model.ask(request, signal);
          result = "answered";
          outcome = await persist(task, () => queue.complete(task, answer.text, answer.usage));
          if (!outcome) result = "lease lost";
        } catch (error) {
          if (lost.signal.aborted) {
            result = "lease lost";
          } else if (giveBack.signal.aborted) {
            result = "given back";
            outcome = await queue.release(task);
          } else if (error instanceof ModelError) {
            result = error.failureClass;
            if (error.failureClass === "configuration") refuse(error.message);
            const failure: Failure = error;
            outcome = await persist(task, () => queue.fail(task, failure));
            if (!outcome) result = "lease lost";
          } else {
            throw error;
          }
        }
      }
    } catch (error) {
      // The lease stands and will run out: the task comes back by itself.
      result = isLeaseLost(error) ? "lease lost" : "left to its lease";
      if (!isLeaseLost(error)) log.error({ error: describeError(error) }, "a task was left");
    } finally {
      clearInterval(heartbeat);
    }
    served += 1;
    if (outcome?.available_at) putOff.push(outcome.available_at);
    log.info(
      {
        task_id: task.task_id,
        kind: task.kind,
        attempt: task.attempt,
        ms: Math.round(performance.now() - started),
        result,
        state: outcome?.state,
        available_at: outcome?.available_at ?? undefined,
      },
      "task",
    );
  }

  function refuse(message: string) {
    if (!state.failed) {
      log.error({ error: message }, "Gemini refused GEMINI_API_KEY, or its project");
    }
    state.failed = true;
    pausedUntil = Date.now() + 60_000;
  }

  async function loop() {
    let failures = 0;
    while (!stop.aborted) {
      state.tickedAt = Date.now();
      if (pausedUntil > Date.now()) {
        if (once) break;
        await wait(Math.min(pausedUntil - Date.now(), 1000), []);
        continue;
      }
      const free = concurrency - inFlight.size;
      let claimed: Task[] = [];
      if (free > 0) {
        try {
          const { tasks, held: why } = await queue.claim(options.name, free, leaseMs);
          claimed = tasks;
          if (why !== "" && why !== held)
            log.warn({ why }, "tasks are due, and none is handed out");
          held = why;
          failures = 0;
          state.ready = true;
          state.failed = pausedUntil > Date.now();
        } catch (error) {
          failures += 1;
          state.ready = false;
          log.error({ error: describeError(error) }, "postgres cannot be asked for tasks");
          if (once && failures >= 3) {
            state.failed = true;
            break;
          }
          await wait(Math.min(500 * 2 ** failures, 30_000) * (0.75 + Math.random() / 2), []);
          continue;
        }
      }
      for (const task of claimed) {
        const call = carry(task).finally(() => inFlight.delete(call));
        inFlight.add(call);
      }
      if (claimed.length > 0 && inFlight.size < concurrency) continue;
      if (once && inFlight.size === 0) break;
      // The end of a call may open the model for more.
      const pause = options.pollMs * (0.75 + Math.random() / 2);
      await wait(inFlight.size >= concurrency ? Math.max(pause, 30_000) : pause);
    }

    state.ready = false;
    if (inFlight.size > 0) {
      log.info({ in_flight: inFlight.size }, "waiting for calls in flight");
      const grace = sleep(once && !stop.aborted ? 3_600_000 : graceMs, undefined, { ref: false });
      await Promise.race([Promise.all(inFlight), grace]);
      giveBack.abort();
      await Promise.all(inFlight);
    }
    const next = putOff.filter((at) => Date.parse(at) > Date.now()).sort()[0];
    log.info(
      { served, put_off: putOff.length, next },
      state.failed ? "ended by a failure" : !once ? "stopped" : held || "nothing is due",
    );
  }

  return { state, done: loop() };
}
