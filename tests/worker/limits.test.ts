// The queue and the world: quotas, outages, models that are gone, workers that die. What is not the
// task's fault costs no task anything, and stops the asking. In make soak (LONG) as long as it was
// when tasks died of it; else some seconds.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import {
  databaseUrl,
  db,
  disconnected,
  enqueue,
  forget,
  runOnce,
  setUp,
  startProgram,
  until,
} from "./setup.ts";
import { type Reply, type Seen, startStandIn } from "./stand-in.ts";

const long = process.env["LONG"] !== undefined;
before(setUp);
after(() => db.end());
beforeEach(forget);

const word: Reply = { text: '{"word": "x"}' };
const first = "gemini-3.5-flash-lite";

async function enqueueMany(count: number) {
  await db.query(
    "select maintenance.enqueue_task('echo', 'many ' || i) from generate_series(1, $1::integer) as i",
    [count],
  );
}

/** The states of all tasks: how many, and the most attempts that one has taken. */
async function states() {
  const { rows } = await db.query(
    "select state, count(*)::integer as n, max(attempts) as attempts from maintenance.task group by 1",
  );
  return rows;
}

/** So many a second, of the clock; the rest is refused until the second is over. */
function quota(perSecond: number): (seen: Seen) => Reply {
  let second = 0;
  let used = 0;
  return () => {
    const now = Date.now();
    if (Math.floor(now / 1000) !== second) {
      second = Math.floor(now / 1000);
      used = 0;
    }
    used += 1;
    if (used <= perSecond) return word;
    const retryDelay = `${1 - (now % 1000) / 1000}s`;
    return {
      status: 429,
      error: {
        status: "RESOURCE_EXHAUSTED",
        message: `You exceeded your current quota. Please retry in ${retryDelay}.`,
        details: [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay }],
      },
    };
  };
}

for (const workers of [1, long ? 10 : 3]) {
  const [perSecond, count] = long ? [3, 300] : [10, 40];
  test(`${count} tasks behind a quota of ${perSecond} a second that is known, ${workers} workers`, async () => {
    const standIn = await startStandIn(quota(perSecond));
    await db.query("select maintenance.set_model($1, per_minute => $2)", [first, 60 * perSecond]);
    await enqueueMany(count);
    const started = Date.now();
    await Promise.all(Array.from({ length: workers }, () => runOnce(standIn.url)));
    await until("all are done", async () => {
      if ((await states()).length > 1) await runOnce(standIn.url);
      return (await states()).length === 1;
    });
    await db.query("select maintenance.set_model($1, per_minute => -1)", [first]);
    await standIn.close();
    assert.deepEqual(await states(), [{ state: "succeeded", n: count, attempts: 1 }]);
    // The places that were given, on any machine: never more than the quota in a second of them.
    const { rows } = await db.query(
      "select max(n)::integer as most from (select count(*) over (order by asks_at range between current row and interval '999 ms' following) as n from maintenance.model_call) as c",
    );
    assert(rows[0].most <= perSecond, `${rows[0].most} places within a second`);
    const refused = standIn.seen.length - count;
    if (long) assert(refused <= count * 0.02, `${refused} calls were refused`);
    const rate = (count / ((Date.now() - started) / 1000)).toFixed(2);
    console.log(`${refused} refused, ${rate}/s of ${perSecond}`);
  });
}

test("an outage of every model kills no task, costs none, and is hardly asked into", async () => {
  const seconds = long ? 240 : 5;
  const count = long ? 300 : 60;
  const down = Date.now() + seconds * 1000;
  const standIn = await startStandIn(() =>
    Date.now() < down ? { status: 503, error: { message: "down" } } : word,
  );
  await enqueueMany(count);
  const program = startProgram(standIn.url);
  await until(
    "all are done",
    async () => (await states()).every(({ state }) => state === "succeeded"),
    (seconds + 120) * 1000,
  );
  program.child.kill("SIGTERM");
  assert.equal(await program.exit, 0);
  await standIn.close();
  assert.deepEqual(await states(), [{ state: "succeeded", n: count, attempts: 1 }]);
  const refused = standIn.seen.length - count;
  assert(refused <= 3 * 12 + 8, `${refused} calls went into the outage`);
  const { rows } = await db.query(
    "select from maintenance_internal.cool_down where model in (select model from maintenance.model_day where answered > 0)",
  );
  assert.equal(rows.length, 0, "an answer ends the cool-down");
  console.log(
    `${refused} refused, ${((Date.now() - down) / 1000).toFixed(1)} s after it all are done`,
  );
});

test("the first model is retired: one call finds out, the second does the work", async () => {
  const count = long ? 300 : 60;
  const retired = new Map<string, number>();
  const standIn = await startStandIn(({ model }) => {
    retired.set(model, (retired.get(model) ?? 0) + 1);
    return model === first
      ? { status: 404, error: { status: "NOT_FOUND", message: `models/${model} is not found` } }
      : word;
  });
  await enqueueMany(count);
  const programs = [
    startProgram(standIn.url, {}, ["--once"]),
    startProgram(standIn.url, {}, ["--once"]),
  ];
  for (const program of programs) assert.equal(await program.exit, 0);
  await standIn.close();
  assert.deepEqual(await states(), [{ state: "succeeded", n: count, attempts: 1 }]);
  // Those that were under way when the first one failed have been asked as well.
  assert((retired.get(first) ?? 0) <= 8, `${retired.get(first)} calls of the retired one`);
  assert.equal(retired.get("gemini-3.1-flash-lite"), count);
  const { rows } = await db.query(
    "select state, asked_instead from maintenance.active_failovers as f join maintenance.model_status using (model, state)",
  );
  assert.deepEqual(rows, [{ state: "retired", asked_instead: "gemini-3.1-flash-lite" }]);
  for (const program of programs) assert.doesNotMatch(program.output(), /Gemini refused/);
});

test("kill -9 with six calls under way: they stay on the account, and nothing leaks", async () => {
  let isHolding = true;
  const standIn = await startStandIn(() => (isHolding ? "hang headers" : word));
  await enqueueMany(12);
  const program = startProgram(standIn.url, { CONCURRENCY: "6" });
  await until("six are asked", () => standIn.seen.length === 6);
  program.child.kill("SIGKILL");
  await program.exit;
  await disconnected();
  const used = async () =>
    (
      await db.query(
        "select (used #>> '{day,0}')::integer as n from maintenance.model_status where model = $1",
        [first],
      )
    ).rows[0].n;
  assert.equal(await used(), 6);
  isHolding = false;
  await db.query("update maintenance.task set lease_expires_at = now() where state = 'leased'");
  await runOnce(standIn.url);
  await standIn.close();
  assert.equal(await used(), 18);
  assert.deepEqual(await states(), [{ state: "succeeded", n: 12, attempts: 1 }]);
  const { rows } = await db.query(
    "select outcome, count(*)::integer as n, bool_and(is_estimate and input_tokens > 0) as estimated from maintenance.model_call group by 1 order by 1",
  );
  assert.deepEqual(rows, [
    { outcome: "lost", n: 6, estimated: true },
    { outcome: "succeeded", n: 12, estimated: false },
  ]);
});

test("one task that always gets 500 stops no other", async () => {
  const standIn = await startStandIn((seen) =>
    seen.content === "poison" ? { status: 500, error: { message: "no" } } : word,
  );
  await enqueue("poison");
  await enqueueMany(60);
  const program = startProgram(standIn.url);
  await until("the others are done", async () =>
    (await states()).some(({ state, n }) => state === "succeeded" && n === 60),
  );
  program.child.kill("SIGTERM");
  assert.equal(await program.exit, 0);
  await standIn.close();
  assert(standIn.seen.length < 75, `${standIn.seen.length} calls`);
});

test("under serializable transactions by default, and few connections, nothing is left leased", async () => {
  const standIn = await startStandIn(() => word);
  const login = new URL(databaseUrl).username;
  await db.query(`alter role ${login} set default_transaction_isolation = serializable`);
  try {
    await enqueueMany(60);
    await Promise.all([runOnce(standIn.url), runOnce(standIn.url), runOnce(standIn.url)]);
  } finally {
    await db.query(`alter role ${login} reset default_transaction_isolation`);
  }
  await standIn.close();
  assert.deepEqual(await states(), [{ state: "succeeded", n: 60, attempts: 1 }]);
});
