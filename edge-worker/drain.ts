// The other loop: claims blobs that are to be deleted, has the store do it, and says what came of
// it. Which may go is decided in Postgres; a blob whose lease ends is handed out again, and one
// that is gone already is done. So each word may be lost, and none is waited for longer than its
// lease.
import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { Deletion, Store } from "./blobs.ts";
import { describeError, triesOf } from "./postgres.ts";
import { type Blob, isLeaseLost, type Outcome, type Queue } from "./queue.ts";

export type DrainOptions = {
  queue: Pick<Queue, "claimBlobs" | "settleBlob">;
  store: Store;
  log: Logger;
  name: string;
  /** How many it deletes at once. */
  concurrency: number;
  pollMs: number;
  leaseMs: number;
  /** How long all of it may take to end once it is told to stop; a call three quarters of that. */
  graceMs: number;
  /** Work until no blob is due, then return. */
  once: boolean;
  stop: AbortSignal;
  /** Is told of each blob when it is over here. */
  deleted?: (result: string) => void;
};

/** How a drain ended: whether it could not do its work. */
export type Drained = { failed: boolean };

/** How long the store may take over one blob. A lease outlives it, whatever it takes. */
const mostMs = 30_000;
/** After so many in a row that the store did not take, the others are left alone for a while. */
const patience = 20;

/** Runs until it is stopped or, with once, until no blob is due. */
export async function drain(options: DrainOptions): Promise<Drained> {
  const { queue, store, log, once, stop, concurrency, leaseMs } = options;
  /** Told to stop, and the time of grace is over. */
  const over = new AbortController();
  setMaxListeners(0, stop, over.signal); // one for each blob that is being deleted
  const startToEnd = () => {
    setTimeout(() => over.abort(), options.graceMs * 0.75).unref();
  };
  stop.addEventListener("abort", startToEnd, { once: true });
  if (stop.aborted) startToEnd();
  const stopped = new Promise<void>((resolve) => {
    stop.addEventListener("abort", () => resolve(), { once: true });
  });
  const inFlight = new Set<Promise<void>>();
  let served = 0;
  let left = 0;
  let refused = 0;

  const pause = (ms: number, signal: AbortSignal) =>
    sleep(ms * (0.75 + Math.random() / 2), undefined, { signal }).catch(() => {});

  async function ask(blob: Blob, until: number): Promise<Deletion | { outcome: "released" }> {
    // Who was kept from it for long does not begin: somebody else may have it by now.
    if (stop.aborted || Date.now() > until - leaseMs / 2) return { outcome: "released" };
    const deadline = AbortSignal.timeout(Math.min(mostMs, leaseMs / 2));
    const signal = AbortSignal.any([deadline, over.signal]);
    // A file system may hang, and hear of no signal.
    const end = new Promise<never>((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
    try {
      return await Promise.race([store.delete(blob.url, signal), end]);
    } catch (error) {
      if (!signal.aborted) throw error;
      return { outcome: "unknown", message: "no answer in time" };
    }
  }

  async function carry(blob: Blob, until: number): Promise<void> {
    const started = performance.now();
    const { outcome, message } = { message: undefined, ...(await ask(blob, until)) };
    let result = "left to its lease";
    let settled: Outcome | undefined;
    for (let tries = 1; Date.now() < until; tries += 1) {
      try {
        settled = await queue.settleBlob(blob, outcome, message);
        result = outcome;
        break;
      } catch (error) {
        if (isLeaseLost(error)) {
          result = "lease lost";
          break;
        }
        log.warn(
          { blob_id: blob.blob_id, error: describeError(error) },
          "postgres did not take it",
        );
        if (over.signal.aborted || tries >= triesOf(error)) break;
        await pause(Math.min(125 * 2 ** tries, 10_000), over.signal);
      }
    }
    if (/^(defer|unknown)$/.test(outcome)) refused += 1;
    else if (outcome !== "released") refused = 0;
    served += 1;
    if (/^(unknown|left to its lease)$/.test(result)) left += 1;
    options.deleted?.(result);
    log[/^(deleted|gone)$/.test(result) ? "info" : "warn"](
      {
        blob_id: blob.blob_id,
        attempt: blob.attempt,
        ms: Math.round(performance.now() - started),
        result,
        error: message,
        state: settled?.state,
        available_at: settled?.available_at ?? undefined,
      },
      "blob",
    );
  }

  let failures = 0;
  let failed = false;
  let pauses = 0;
  while (!stop.aborted) {
    // It is the store: the rest of them would meet the same. One that is under way may be the first
    // that it takes again.
    if (refused >= patience) await Promise.all(inFlight);
    pauses = refused >= patience ? pauses + 1 : 0;
    if (pauses > 0) {
      if (once) break;
      await pause(Math.min(500 * 2 ** pauses, 60_000), stop);
      if (stop.aborted) break;
    }
    const until = Date.now() + leaseMs;
    const free = concurrency - inFlight.size;
    let blobs: Blob[] = [];
    try {
      if (free > 0) blobs = await queue.claimBlobs(options.name, free, leaseMs);
      failures = 0;
    } catch (error) {
      failures += 1;
      failed = once && (failures >= triesOf(error) || failures === 3);
      log[failed ? "fatal" : "error"](
        { error: describeError(error) },
        "postgres cannot be asked for blobs",
      );
      if (failed) break;
      await pause(Math.min(500 * 2 ** failures, 30_000), stop);
      continue;
    }
    for (const blob of blobs) {
      const carried = carry(blob, until).finally(() => inFlight.delete(carried));
      inFlight.add(carried);
    }
    if (inFlight.size === concurrency) {
      await Promise.race([...inFlight, stopped]);
    } else if (blobs.length === 0) {
      if (once && free === concurrency) break;
      // There may be more in the meantime; and what is being deleted may take long.
      await pause(Math.min(options.pollMs, once ? 100 : Number.POSITIVE_INFINITY), stop);
    }
  }
  await Promise.all(inFlight);
  stop.removeEventListener("abort", startToEnd);
  if (served > 0) log.info({ served, left }, "blobs");
  return { failed: failed || (once && (refused > 0 || left > 0)) };
}
