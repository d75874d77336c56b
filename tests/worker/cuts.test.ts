// Every call to Postgres can be repeated: whatever happens to it on its way, the task is carried
// out once, and the model is asked once.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { hasPooler, openPooler, openProxy, type Trap } from "./proxy.ts";
import {
  databaseUrl,
  db,
  enqueue,
  forget,
  runOnce,
  setUp,
  startProgram,
  task,
  until,
  words,
} from "./setup.ts";
import { type Reply, startStandIn } from "./stand-in.ts";

before(setUp);
beforeEach(forget);
after(() => db.end());

const word: Reply = { text: '{"word": "x"}' };
const doesAll: Trap["does"][] = [
  "cut before",
  "cut after",
  ...["08006", "40001", "53300", "57P01", "XX000"].map((sqlstate) => ({ sqlstate })),
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
  for (const does of /request|complete/.test(door) ? doesAll : doesAll.slice(0, 3)) {
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

// In make soak (LONG) as many and for as long as it takes; and behind a pooler.
const long = process.env["LONG"] !== undefined;
for (const via of long ? ["", "pgbouncer"] : [""]) {
  const [count, everyMs] = long ? [1200, 2000] : [60, 300];
  test(`${count} tasks, three workers, all connections cut every ${everyMs} ms ${via && `of ${via}`}`, {
    skip: via !== "" && !hasPooler && "no pgbouncer here",
  }, async (t) => {
    const pooler = via === "" ? undefined : await openPooler(databaseUrl);
    const proxy = await openProxy(pooler?.url ?? databaseUrl);
    const standIn = await startStandIn(async () => {
      await new Promise((resolve) => setTimeout(resolve, 50 + 300 * Math.random()));
      return word;
    });
    await db.query(
      "select count(maintenance.enqueue_task('echo', 'cuts ' || $2 || i)) from generate_series(1, $1) as i",
      [count, via],
    );
    const started = Date.now();
    const programs = Array.from({ length: 3 }, () =>
      startProgram(standIn.url, { DATABASE_URL: proxy.url(databaseUrl) }),
    );
    let cuts = 0;
    const cutting = setInterval(() => {
      cuts += 1;
      proxy.cut();
    }, everyMs);
    await until(
      "all are done",
      async () => {
        const { rows } = await db.query(
          "select count(*)::integer as n from maintenance.task where state <> 'succeeded'",
        );
        return rows[0].n === 0;
      },
      240_000,
    );
    clearInterval(cutting);
    for (const program of programs) program.child.kill("SIGTERM");
    for (const program of programs) assert.equal(await program.exit, 0);
    await standIn.close();
    await proxy.close();
    await pooler?.close();
    t.diagnostic(
      `${count} tasks in ${Math.round((Date.now() - started) / 1000)} s, ${cuts} cuts, ${standIn.seen.length} calls`,
    );
    const { rows } = await db.query(
      `select count(*)::integer as words, count(distinct subject)::integer as subjects,
        (select count(*)::integer from maintenance.task where attempts <> 1 or recoveries <> 0) as odd
      from public.echo where subject like 'cuts ' || $1 || '%'`,
      [via],
    );
    assert.deepEqual(rows, [{ words: count, subjects: count, odd: 0 }], "each applied once");
    assert.equal(standIn.seen.length, count, "each asked once");
  });
}
