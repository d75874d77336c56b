// Every call to Postgres can be repeated: whatever happens to it on its way, the task is carried
// out once, and the model is asked once.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { openProxy, type Trap } from "./proxy.ts";
import { databaseUrl, db, enqueue, forget, runOnce, setUp, task, until, words } from "./setup.ts";
import { type Reply, startStandIn } from "./stand-in.ts";

before(setUp);
beforeEach(forget);
after(() => db.end());

const word: Reply = { text: '{"word": "x"}' };
const doesAll: Trap["does"][] = [
  "cut before",
  "cut after",
  ...["40001", "53300", "57P01"].map((sqlstate) => ({ sqlstate })),
];
/** A task is answered with this, and this becomes of it; extended while the model thinks. */
const doors: Record<string, { reply: Reply; state: string; thinksMs?: number }> = {
  claim_tasks: { reply: word, state: "succeeded" },
  task_request: { reply: word, state: "succeeded" },
  complete_task: { reply: word, state: "succeeded" },
  extend_lease: { reply: word, state: "succeeded", thinksMs: 1300 },
  fail_task: {
    reply: { response: { promptFeedback: { blockReason: "SAFETY" } } },
    state: "skipped",
  },
};

for (const [door, { reply, state, thinksMs = 0 }] of Object.entries(doors)) {
  for (const does of thinksMs > 0 ? doesAll.slice(0, 3) : doesAll) {
    const how =
      typeof does === "object" ? `answered with ${does.sqlstate}` : `${does} it is answered`;
    test(`${door}, ${how}`, async () => {
      const standIn = await startStandIn(async () => {
        await new Promise((resolve) => setTimeout(resolve, thinksMs));
        return reply;
      });
      const proxy = await openProxy(databaseUrl);
      proxy.trap({ word: `maintenance.${door}(`, does, times: 1 });
      const subject = `${door} ${how}`;
      const id = await enqueue(subject);
      const ended = await runOnce(standIn.url, {
        databaseUrl: proxy.url(databaseUrl),
        leaseMs: thinksMs > 0 ? 1000 : 120_000,
      });
      await standIn.close();
      await proxy.close();
      assert.equal(proxy.sprung(), 1);
      const row = await task(id);
      assert.deepEqual([row.state, row.attempts, row.recoveries], [state, 1, 0]);
      assert.equal(standIn.seen.length, 1, "the model is asked once");
      assert.equal((await words(subject)).length, state === "succeeded" ? 1 : 0);
      assert.deepEqual([ended.left, ended.failed], [0, false]);
    });
  }
}

for (const does of doesAll.slice(0, 3)) {
  test(`release_task, ${JSON.stringify(does)}`, async () => {
    const standIn = await startStandIn(() => "hang headers");
    const proxy = await openProxy(databaseUrl);
    proxy.trap({ word: "maintenance.release_task(", does, times: 1 });
    const id = await enqueue("cut release");
    const stop = new AbortController();
    const running = runOnce(standIn.url, {
      databaseUrl: proxy.url(databaseUrl),
      once: false,
      stop: stop.signal,
      graceMs: 3000,
    });
    await until("the call is made", () => standIn.seen.length === 1);
    stop.abort();
    const ended = await running;
    await standIn.close();
    await proxy.close();
    assert.equal(proxy.sprung(), 1);
    const row = await task(id);
    assert.deepEqual([row.state, row.attempts], ["ready", 0]);
    assert.equal(ended.left, 0);
  });
}
