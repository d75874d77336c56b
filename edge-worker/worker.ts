// The loop: claims tasks while a slot is free, carries each to the model and back. It knows no kind
// of task, no SQL and no Gemini; what an answer or a failure means is decided in Postgres. A call
// to Postgres is repeated until it is taken, under a token that makes that harmless; and once it is
// told to stop, all of it ends at one deadline, whatever hangs.
import { randomUUID } from "node:crypto";
import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { ModelError, type Usage } from "./failure.ts";
import type { Model } from "./gemini.ts";
import { describeError, mayBeHeard, triesOf } from "./postgres.ts";
import { isLeaseLost, type Outcome, type Queue, type Request, type Task } from "./queue.ts";

export type WorkerOptions = {
  queue: Omit<Queue, "end" | "check" | "claimBlobs" | "settleBlob">;
  model: Model;
  log: Logger;
  name: string;
  /** Its release and state, which it tells with each claim. */
  version?: string | undefined;
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
  /** The calls to Postgres that are under way. */
  unanswered: Set<{ since: number }>;
  /** Gemini refused the configuration, or whoever stands at its address. */
  refused: boolean;
  /** Postgres said what does not pass, or with once, was not there. */
  failed: boolean;
  /** How many tasks it has left to their leases. */
  left: number;
  inFlight: number;
  /** How long the oldest task had been due that the last claim has seen. */
  dueSeconds: number;
  /** The loop comes by before that, or it is stuck. */
  aliveUntil: number;
};

type Call = { abort: AbortController; isAsking: boolean };

/** What is told of a task at its end; and what instead, where that is refused. */
type End = {
  result: string;
  error?: string;
  tell: () => Promise<Outcome>;
  orElse?: (error: unknown) => Promise<Outcome>;
};

/** Runs until it is stopped or, with once, until nothing is due. */
export function startWorker(options: WorkerOptions): { state: WorkerState; done: Promise<void> } {
  const { queue, model, log, once, stop, concurrency, leaseMs, graceMs, observer } = options;
  const state: WorkerState = {
    ready: false,
    unanswered: new Set(),
    refused: false,
    failed: false,
    left: 0,
    inFlight: 0,
    dueSeconds: 0,
    aliveUntil: Number.POSITIVE_INFINITY,
  };
  const calls = new Map<Call, Promise<void>>();
  /** The deadline is over: nothing is repeated any more. */
  const over = new AbortController();
  setMaxListeners(0, over.signal); // one for each answer that waits for Postgres
  let wake = () => {};
  let held = "";
  let served = 0;
  let putOff = 0;
  let next: number | undefined;
  let pausedUntil = 0;
  /** A claim may have leased what nobody has heard of yet. */
  let isClaimOpen = false;

  /** Waits for a time, a stop or the end of a call. */
  function nap(ms: number): Promise<void> {
    log.debug({ ms: Math.round(ms), in_flight: calls.size }, "waiting");
    state.aliveUntil = Date.now() + ms + 60_000;
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

  const pause = (ms: number) => sleep(ms, undefined, { signal: over.signal }).catch(() => {});

  /** Makes a call to Postgres, and keeps what it says of Postgres. */
  async function call<T>(make: () => Promise<T>): Promise<T> {
    const mark = { since: Date.now() };
    state.unanswered.add(mark);
    try {
      const value = await make();
      state.ready = !over.signal.aborted;
      return value;
    } catch (error) {
      if (!isLeaseLost(error)) state.ready = false;
      throw error;
    } finally {
      state.unanswered.delete(mark);
    }
  }

  /** Says after which error a call is not made again: what passes by itself counts for nothing. */
  function patience(): (error: unknown) => boolean {
    let faults = 0;
    return (error) => {
      faults = triesOf(error) === Number.POSITIVE_INFINITY ? 0 : faults + 1;
      return faults >= triesOf(error);
    };
  }

  /** Repeats a call to Postgres until it is taken; the lease token makes that harmless. */
  async function persist<T>(task: Task, make: () => Promise<T>): Promise<T> {
    const began = Date.now();
    const isHopeless = patience();
    for (let tries = 1; ; tries += 1) {
      try {
        return await call(make);
      } catch (error) {
        if (isLeaseLost(error)) throw error;
        log.warn(
          { task_id: task.task_id, error: describeError(error) },
          "postgres did not take it",
        );
        const isTooLate = once && Date.now() - began > leaseMs;
        if (over.signal.aborted || isHopeless(error) || isTooLate) throw error;
        await pause(Math.min(125 * 2 ** tries, 10_000));
        // The next try holds the task for as long as it waits for a lock.
        if (!over.signal.aborted) await call(() => queue.extend(task, leaseMs)).catch(() => {});
      }
    }
  }

  /** Asks the model; returns what came of it, in words and as what Postgres is to be told. */
  async function ask(task: Task, request: Request, mine: Call): Promise<End> {
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
      const { text, usage } = await model.ask(request, mine.abort.signal);
      observe("answered", usage);
      return {
        result: "answered",
        tell: () => queue.complete(task, text, usage),
        // What Postgres does not take, although it is there, is a failure with the call on record.
        orElse: (error: unknown) =>
          queue.fail(task, {
            failureClass: "transient",
            message: `the answer was not taken: ${describeError(error)}`,
            usage,
          }),
      };
    } catch (error) {
      if (!(error instanceof ModelError)) throw error;
      observe(error.failureClass, error.usage ?? {});
      if (error.failureClass === "configuration") refuse(error.message);
      const { failureClass: result, message } = error;
      return { result, error: message, tell: () => queue.fail(task, error) };
    }
  }

  async function carry(task: Task, mine: Call) {
    const started = performance.now();
    const giveBack: End = { result: "given back", tell: () => queue.release(task) };
    let isLost = false;
    const heartbeat = setInterval(() => {
      call(() => queue.extend(task, leaseMs)).then(
        (isKept) => {
          if (isKept) return;
          isLost = true;
          mine.abort.abort();
        },
        // The next beat tries again.
        (error) => log.warn({ error: describeError(error) }, "the lease could not be extended"),
      );
    }, leaseMs / 4);
    let result = "not asked: closed, or given back";
    let outcome: Outcome | undefined;
    let end: End | undefined;
    try {
      if (stop.aborted) {
        end = giveBack;
      } else {
        const request = await persist(task, () => queue.request(task));
        if (request) {
          try {
            if (request.wait_ms > 0) {
              await sleep(request.wait_ms, undefined, { signal: mine.abort.signal });
            }
            mine.isAsking = true;
            end = stop.aborted ? giveBack : await ask(task, request, mine);
          } catch (error) {
            if (!mine.abort.signal.aborted) throw error;
            end = giveBack;
          }
        }
      }
      if (isLost) {
        result = "lease lost";
      } else if (end) {
        result = end.result;
        const { tell, orElse } = end;
        outcome = await persist(task, tell).catch((error) => {
          const isRefused = !isLeaseLost(error) && triesOf(error) < Number.POSITIVE_INFINITY;
          if (!orElse || !isRefused) throw error;
          result = "not taken";
          return persist(task, () => orElse(error));
        });
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
    if (once && outcome?.available_at) {
      putOff += 1;
      const at = Date.parse(outcome.available_at);
      if (at > Date.now()) next = Math.min(next ?? at, at);
    }
    observer?.carried(task.kind, result);
    log.info(
      {
        task_id: task.task_id,
        kind: task.kind,
        attempt: task.attempt,
        ms: Math.round(performance.now() - started),
        result,
        error: end?.error,
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
    let isHopeless = patience();
    let claim = randomUUID();
    // A claim that may have been heard is sent again until it is answered.
    while (!stop.aborted || (isClaimOpen && !over.signal.aborted)) {
      if (pausedUntil > Date.now() && !isClaimOpen) {
        if (once) break;
        await nap(pausedUntil - Date.now());
        continue;
      }
      const free = concurrency - calls.size;
      let tasks: Task[] = [];
      if (free > 0) {
        const { rss, heapUsed } = process.memoryUsage();
        const about = {
          claim,
          repeated: failures > 0,
          kinds: options.kinds,
          version: options.version,
          pid: process.pid,
          rss,
          heap: heapUsed,
          uptime: Math.floor(process.uptime()),
        };
        const wasOpen = isClaimOpen;
        try {
          isClaimOpen = true;
          // Each of several servers may let it wait.
          state.aliveUntil = Date.now() + 600_000;
          const claimed = await call(() => queue.claim(options.name, free, leaseMs, about));
          isClaimOpen = false;
          tasks = claimed.tasks;
          log.debug({ free, claimed: tasks.length, held: claimed.held || undefined }, "claimed");
          if (claimed.held !== "" && claimed.held !== held) {
            log.warn({ why: claimed.held }, "tasks are due, and none is handed out");
          }
          held = claimed.held;
          state.dueSeconds = claimed.dueSeconds;
          failures = 0;
          isHopeless = patience();
          claim = randomUUID();
        } catch (error) {
          failures += 1;
          isClaimOpen = wasOpen || mayBeHeard(error);
          state.failed = isHopeless(error) || (once && failures === 3);
          log[state.failed ? "fatal" : "error"](
            { error: describeError(error) },
            "postgres cannot be asked for tasks",
          );
          if (state.failed) break;
          if (stop.aborted) await pause(250);
          else await nap(Math.min(500 * 2 ** failures, 30_000) * (0.75 + Math.random() / 2));
          continue;
        }
      }
      for (const task of tasks) {
        const mine: Call = { abort: new AbortController(), isAsking: false };
        const carried = carry(task, mine).finally(() => {
          calls.delete(mine);
          state.inFlight = calls.size;
          wake(); // it may open the model for more
        });
        calls.set(mine, carried);
        state.inFlight = calls.size;
      }
      if (tasks.length > 0 && calls.size < concurrency) continue;
      // What has ended during the claim may be due again.
      if (once && calls.size === 0 && free < concurrency) continue;
      if (once && calls.size === 0) break;
      await nap(calls.size === concurrency ? 30_000 : options.pollMs * (0.75 + Math.random() / 2));
    }
    state.aliveUntil = Number.POSITIVE_INFINITY; // what ends has a deadline
    if (calls.size > 0) log.info({ in_flight: calls.size }, "waiting for calls in flight");
    await Promise.all(calls.values());
  }

  const timers: NodeJS.Timeout[] = [];
  const isOver = new Promise<void>((resolve) => {
    over.signal.addEventListener("abort", () => resolve());
  });
  function startToEnd() {
    wake();
    const giveBack = (isDue: (one: Call) => boolean) => {
      for (const one of calls.keys()) if (isDue(one)) one.abort.abort();
    };
    giveBack((one) => !one.isAsking);
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
    state.left += calls.size;
    if (isClaimOpen) log.warn("nobody knows whether the last claim has leased a task");
    if (state.left > 0) log.warn({ left: state.left }, "tasks are left to their leases");
    state.left += Number(isClaimOpen);
    log.info(
      { served, ...(once ? { put_off: putOff, next: next && new Date(next) } : {}) },
      state.failed || (once && state.refused)
        ? "ended by a failure"
        : stop.aborted
          ? "stopped"
          : held || "nothing is due",
    );
  }

  return { state, done: run() };
}
