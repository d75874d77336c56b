// The loop: claims tasks while a slot is free, carries each to the model and back. It knows no kind
// of task, no SQL and no Gemini; what an answer or a failure means is decided in Postgres. A call
// to Postgres is repeated until it is taken, under a token that makes that harmless; and once it is
// told to stop, all of it ends at one deadline, whatever hangs.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { type Model, ModelError, type Usage } from "./gemini.ts";
import {
  describeError,
  isLeaseLost,
  isPassing,
  type Outcome,
  type Queue,
  type Request,
  type Task,
} from "./queue.ts";

export type WorkerOptions = {
  queue: Omit<Queue, "end" | "check">;
  model: Model;
  log: Logger;
  name: string;
  /** Which kinds it asks for; all where it is left out. */
  kinds?: string[] | undefined;
  concurrency: number;
  pollMs: number;
  leaseMs: number;
  /** How long all of it may take to end once it is told to stop; a call three quarters of that. */
  graceMs: number;
  /** Work until nothing is due and nothing of its own is in flight, then return. */
  once: boolean;
  /** Aborted: claim no more, let calls in flight end for a while, give the rest back. */
  stop: AbortSignal;
  /** Is told of each call to the model, and of each task when it is over here. */
  observer?: Observer;
};

export type Observer = {
  called(model: string, result: string, ms: number, usage: Usage): void;
  carried(kind: string, result: string): void;
};

/** What a worker is doing, for its health check; and how it ended. */
export type WorkerState = {
  /** Postgres took what it was given last. */
  ready: boolean;
  /** Gemini refused the configuration, or whoever stands at its address. */
  refused: boolean;
  /** Postgres said what does not pass, or with once, was not there. */
  failed: boolean;
  /** How many tasks it has left to their leases. */
  left: number;
  inFlight: number;
  /** Since when the oldest of the tasks was due that the last claim has seen. */
  dueSince: number | undefined;
  tickedAt: number;
};

type Call = { abort: AbortController; isAsking: boolean };

/** Runs until it is stopped or, with once, until nothing is due. */
export function startWorker(options: WorkerOptions): { state: WorkerState; done: Promise<void> } {
  const { queue, model, log, once, stop, concurrency, leaseMs, graceMs, observer } = options;
  const state: WorkerState = {
    ready: false,
    refused: false,
    failed: false,
    left: 0,
    inFlight: 0,
    dueSince: undefined,
    tickedAt: Date.now(),
  };
  const calls = new Map<Call, Promise<void>>();
  /** The deadline is over: nothing is repeated any more. */
  const over = new AbortController();
  let wake = () => {};
  let held = "";
  let served = 0;
  let putOff = 0;
  let next: string | undefined;
  let pausedUntil = 0;
  let isClaiming = false;

  /** Waits for a time, a stop or the end of a call. */
  function nap(ms: number): Promise<void> {
    log.debug({ ms: Math.round(ms), in_flight: calls.size }, "waiting");
    return new Promise((resolve) => {
      const timer = setTimeout(() => wake(), ms);
      wake = () => {
        clearTimeout(timer);
        wake = () => {};
        resolve();
      };
      if (stop.aborted) wake();
    });
  }

  /** Repeats a call to Postgres until it is there again; the lease token makes that harmless. */
  async function persist<T>(task: Task, call: () => Promise<T>): Promise<T> {
    for (let pause = 250; ; pause = Math.min(pause * 2, 10_000)) {
      try {
        const value = await call();
        state.ready = !over.signal.aborted;
        return value;
      } catch (error) {
        if (isLeaseLost(error)) throw error;
        state.ready = false;
        log.warn(
          { task_id: task.task_id, error: describeError(error) },
          "postgres did not take it",
        );
        if (over.signal.aborted || !isPassing(error)) throw error;
        await sleep(pause, undefined, { signal: over.signal }).catch(() => {});
      }
    }
  }

  /** Asks the model; returns what came of it, in words and as what Postgres is to be told. */
  async function ask(task: Task, request: Request, call: Call) {
    const { task_id } = task;
    const started = performance.now();
    log.debug(
      {
        task_id,
        model: request.model,
        characters: request.content.length,
        wait_ms: request.wait_ms,
        timeout_ms: request.timeout_ms,
      },
      "asking",
    );
    const observe = (result: string, usage: Usage) => {
      if (/^(answered|bad_output|blocked)$/.test(result)) state.refused = false;
      log.debug({ task_id, result, ...usage }, "asked");
      observer?.called(request.model, result, performance.now() - started, usage);
    };
    try {
      const { text, usage } = await model.ask(request, call.abort.signal);
      observe("answered", usage);
      return { result: "answered", tell: () => queue.complete(task, text, usage) };
    } catch (error) {
      if (!(error instanceof ModelError)) throw error;
      observe(error.failureClass, error.usage ?? {});
      if (error.failureClass === "configuration") refuse(error.message);
      return { result: error.failureClass as string, tell: () => queue.fail(task, error) };
    }
  }

  async function carry(task: Task, call: Call) {
    const started = performance.now();
    const giveBack = { result: "given back", tell: () => queue.release(task) };
    let isLost = false;
    const heartbeat = setInterval(() => {
      queue.extend(task, leaseMs).then(
        (isKept) => {
          if (isKept) return;
          isLost = true;
          call.abort.abort();
        },
        (error) => {
          state.ready = false; // and the next beat tries again
          log.warn({ error: describeError(error) }, "the lease could not be extended");
        },
      );
    }, leaseMs / 4);
    let result = "not asked: closed, or given back";
    let outcome: Outcome | undefined;
    try {
      let end: typeof giveBack | undefined;
      if (stop.aborted) {
        end = giveBack;
      } else {
        const request = await persist(task, () => queue.request(task));
        if (request) {
          try {
            if (request.wait_ms > 0) {
              await sleep(request.wait_ms, undefined, { signal: call.abort.signal });
            }
            call.isAsking = true;
            end = stop.aborted ? giveBack : await ask(task, request, call);
          } catch (error) {
            if (!call.abort.signal.aborted) throw error;
            end = giveBack;
          }
        }
      }
      if (isLost) {
        result = "lease lost";
      } else if (end) {
        result = end.result;
        outcome = await persist(task, end.tell);
      }
    } catch (error) {
      if (isLeaseLost(error)) {
        result = "lease lost";
      } else {
        // The lease stands and will run out: the task comes back by itself, its call is on record.
        log.error(
          { task_id: task.task_id, result, error: describeError(error) },
          "a task was left",
        );
        result = "left to its lease";
        state.left += 1;
      }
    } finally {
      clearInterval(heartbeat);
    }
    served += 1;
    if (outcome?.available_at) {
      putOff += 1;
      if (!next || outcome.available_at < next) next = outcome.available_at;
    }
    observer?.carried(task.kind, result);
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
    if (!state.refused) {
      log.error({ error: message }, "Gemini refused the configuration: no task for a minute");
    }
    state.refused = true;
    pausedUntil = Date.now() + 60_000;
  }

  async function loop() {
    let failures = 0;
    let claim = randomUUID();
    while (!stop.aborted) {
      state.tickedAt = Date.now();
      if (pausedUntil > Date.now()) {
        if (once) break;
        await nap(pausedUntil - Date.now());
        continue;
      }
      const free = concurrency - calls.size;
      let tasks: Task[] = [];
      if (free > 0) {
        try {
          isClaiming = true;
          const about = { claim, repeated: failures > 0, kinds: options.kinds };
          const claimed = await queue.claim(options.name, free, leaseMs, about);
          isClaiming = false;
          tasks = claimed.tasks;
          log.debug({ free, claimed: tasks.length, held: claimed.held || undefined }, "claimed");
          if (claimed.held !== "" && claimed.held !== held) {
            log.warn({ why: claimed.held }, "tasks are due, and none is handed out");
          }
          held = claimed.held;
          state.dueSince =
            claimed.dueSeconds > 0 ? Date.now() - 1000 * claimed.dueSeconds : undefined;
          state.ready = true;
          failures = 0;
          claim = randomUUID();
        } catch (error) {
          failures += 1;
          state.ready = false;
          state.failed = !isPassing(error) || (once && failures === 3);
          log[state.failed ? "fatal" : "error"](
            { error: describeError(error) },
            "postgres cannot be asked for tasks",
          );
          if (state.failed) break;
          await nap(Math.min(500 * 2 ** failures, 30_000) * (0.75 + Math.random() / 2));
          continue;
        }
      }
      for (const task of tasks) {
        const call: Call = { abort: new AbortController(), isAsking: false };
        const carried = carry(task, call).finally(() => {
          calls.delete(call);
          state.inFlight = calls.size;
          wake(); // it may open the model for more
        });
        calls.set(call, carried);
        state.inFlight = calls.size;
      }
      if (tasks.length > 0 && calls.size < concurrency) continue;
      if (once && calls.size === 0) break;
      await nap(calls.size === concurrency ? 30_000 : options.pollMs * (0.75 + Math.random() / 2));
    }
    if (calls.size > 0) log.info({ in_flight: calls.size }, "waiting for calls in flight");
    await Promise.all(calls.values());
  }

  const timers: NodeJS.Timeout[] = [];
  const isOver = new Promise<void>((resolve) => {
    over.signal.addEventListener("abort", () => resolve());
  });
  function startToEnd() {
    wake();
    const giveBack = (isDue: (call: Call) => boolean) => {
      for (const call of calls.keys()) if (isDue(call)) call.abort.abort();
    };
    giveBack((call) => !call.isAsking);
    timers.push(
      setTimeout(() => giveBack(() => true), graceMs * 0.75),
      setTimeout(() => over.abort(), graceMs),
    );
  }
  stop.addEventListener("abort", startToEnd, { once: true });

  async function run() {
    await Promise.race([loop(), isOver]);
    for (const timer of timers) clearTimeout(timer);
    stop.removeEventListener("abort", startToEnd);
    over.abort();
    state.ready = false;
    // Of a claim that nobody answered nobody knows what it has leased.
    state.left += calls.size + Number(isClaiming);
    if (state.left > 0) log.warn({ left: state.left }, "tasks are left to their leases");
    log.info(
      { served, put_off: putOff, next },
      state.failed || state.refused
        ? "ended by a failure"
        : !once
          ? "stopped"
          : held || "nothing is due",
    );
  }

  return { state, done: run() };
}
