// Memories over the real wire: the unchanged worker, a stand-in for Gemini, every sort of answer.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { db, disconnected, runOnce, setUp, startProgram, task, until } from "./setup.ts";
import { answerByRule, type Reply, type Seen, startStandIn } from "./stand-in.ts";
import { faultOf } from "./wire.ts";

const ada = "00000000-0000-0000-0000-000000000001";
const bob = "00000000-0000-0000-0000-000000000002";

before(setUp);
after(() => db.end());
beforeEach(async () => {
  await db.query(`
    delete from maintenance.task;
    delete from public.users;
    delete from maintenance_internal.erasure;
    insert into public.users (id, name) values ('${ada}', 'Ada'), ('${bob}', 'Bob');
  `);
  await remember(ada, 10);
  await remember(bob, 10);
});

/** Gives a user memories, a day apart. */
async function remember(user: string, count: number) {
  await db.query(
    `insert into public.memories (user_id, key, content, category, observed_at)
     select $1, 'fact_' || i, 'Fact number ' || i, null, timestamptz '2026-01-01' + i * interval '1 day'
     from generate_series(1, $2::integer) as i`,
    [user, count],
  );
}

async function consolidate(user: string, force = false): Promise<string> {
  const { rows } = await db.query(
    "select maintenance.enqueue_task('consolidate_memories', $1, force => $2)::text as id",
    [user, force],
  );
  return rows[0].id;
}

/** All that is remembered of a user, but for versions and the times of updates. */
async function memories(user: string): Promise<string[]> {
  const { rows } = await db.query(
    `select (to_jsonb(m) - array['version', 'updated_at'])::text as row
     from public.memories as m where m.user_id = $1 order by m.id`,
    [user],
  );
  return rows.map((row) => row.row);
}

/** Runs the worker once, with one answer for every question; returns what was asked. */
async function answerWith(reply: (seen: Seen) => Reply): Promise<Seen[]> {
  const standIn = await startStandIn(reply);
  await runOnce(standIn.url);
  await standIn.close();
  return standIn.seen;
}

const operations = (...list: unknown[]): Reply => ({ text: JSON.stringify({ operations: list }) });
const merge = (...ids: string[]) => ({ op: "merge", ids, reason: "alike", key: "one", text: "" });

test("the request is one that Gemini takes, and the merge comes back", async () => {
  const id = await consolidate(ada);
  const seen = await answerWith(() => operations(merge("m1", "m2")));
  assert.equal(seen.length, 1);
  assert.equal(faultOf(seen[0]?.body ?? {}), null);
  assert.deepEqual((await task(id)).result.result, {
    applied: 1,
    refused: 0,
    retired: 2,
    added: 1,
  });
});

const answers: [string, Reply, string, boolean][] = [
  ["an empty list", operations(), "succeeded", false],
  ["a good merge", operations(merge("m1", "m2")), "succeeded", true],
  ["ids that are made up", operations(merge("m1", "m77")), "succeeded", false],
  ["one memory twice", operations(merge("m3", "m3")), "succeeded", false],
  [
    "an operation that does not exist",
    operations({ op: "delete", ids: ["m1", "m2"], reason: "" }),
    "ready",
    false,
  ],
  [
    "operations that overlap",
    operations(merge("m1", "m2"), { op: "supersede", ids: ["m2", "m3"], reason: "" }),
    "succeeded",
    true,
  ],
  [
    "everything in one merge",
    operations(merge(...Array.from({ length: 10 }, (_, i) => `m${i + 1}`))),
    "quarantined",
    false,
  ],
  ["no JSON", { text: "I would merge m1 and m2." }, "ready", false],
  ["another object", { text: '{"merge": ["m1", "m2"]}' }, "ready", false],
  ["half an answer", { text: '{"operations": [{"op"', finishReason: "MAX_TOKENS" }, "ready", false],
];
for (const [what, reply, state, changes] of answers) {
  test(`an answer with ${what}: ${state}, and nobody else is touched`, async () => {
    const before = await memories(ada);
    const others = await memories(bob);
    const id = await consolidate(ada);
    await answerWith(() => reply);
    const now = await memories(ada);
    assert.equal((await task(id)).state, state);
    assert.equal(JSON.stringify(now) !== JSON.stringify(before), changes);
    assert.deepEqual(await memories(bob), others);
    const words = (rows: string[]) => rows.map((row) => JSON.parse(row).content);
    for (const word of words(before)) assert(words(now).includes(word), `lost: ${word}`);
    if (state !== "succeeded") return;
    await db.query("select maintenance.undo_task($1)", [id]);
    assert.deepEqual(await memories(ada), before);
  });
}

test("another user's id in the answer reaches nobody", async () => {
  const { rows } = await db.query("select id from public.memories where user_id = $1", [bob]);
  const others = await memories(bob);
  const id = await consolidate(ada);
  await answerWith(() => operations(merge("m1", rows[0].id), merge(rows[1].id, rows[2].id)));
  assert.equal((await task(id)).result.result.refused, 2);
  assert.deepEqual(await memories(bob), others);
});

test("unchanged data costs no call, and an edit costs one", async () => {
  await consolidate(ada);
  assert.equal((await answerWith(() => operations(merge("m1", "m2")))).length, 1);
  await consolidate(ada);
  assert.equal((await answerWith(() => operations())).length, 0);
  await db.query(
    "update public.memories set content = 'Edited' where user_id = $1 and key = 'fact_5'",
    [ada],
  );
  await consolidate(ada);
  assert.equal((await answerWith(() => operations())).length, 1);
});

test("four memories cost no call", async () => {
  await db.query("delete from public.memories where user_id = $1 and observed_at > '2026-01-05'", [
    ada,
  ]);
  const id = await consolidate(ada);
  assert.equal((await answerWith(() => operations())).length, 0);
  assert.equal((await task(id)).last_error, "4 memories, and it takes 5");
});

test("two hundred memories fit into one request, and a contradiction in them is found", async () => {
  await remember(ada, 0);
  await db.query(`
    insert into public.memories (user_id, key, content, category, observed_at)
    select '${ada}', 'more_' || i, 'Goes running ' || i || ' times a week and always takes the long way home', 'c' || i / 2,
      timestamptz '2026-02-01' + i * interval '1 hour' from generate_series(2, 191) as i`);
  const id = await consolidate(ada);
  const seen = await answerWith(answerByRule);
  assert.equal(seen.length, 1);
  assert.equal(seen[0]?.content.split("\n").filter((line) => line.startsWith("{")).length, 200);
  assert.match((await task(id)).last_error, /^it would retire 95 of 200 memories$/);
  const { rows } = await db.query("select maintenance.approve_task($1) as report", [id]);
  assert.deepEqual(rows[0].report.result, { applied: 95, refused: 0, retired: 95, added: 0 });
});

test("an edit, a deletion and a new memory during the call are kept; the rest is applied", async () => {
  const id = await consolidate(ada);
  const standIn = await startStandIn(async () => {
    await db.query(`
      update public.memories set content = 'Edited meanwhile' where user_id = '${ada}' and key = 'fact_1';
      delete from public.memories where user_id = '${ada}' and key = 'fact_3';
      insert into public.memories (user_id, key, content) values ('${ada}', 'meanwhile', 'Came meanwhile');`);
    return operations(
      merge("m1", "m2"),
      { ...merge("m3", "m4"), key: "two" },
      { ...merge("m5", "m6"), key: "three" },
    );
  });
  await runOnce(standIn.url);
  await standIn.close();
  assert.equal((await task(id)).result.result.applied, 1);
  const { rows } = await db.query(
    "select key, content, status from public.memories where user_id = $1 and (status <> 'active' or content !~ '^Fact') order by key",
    [ada],
  );
  assert.deepEqual(
    rows.map((row) => `${row.key}: ${row.content} (${row.status})`),
    [
      "fact_1: Edited meanwhile (active)",
      "fact_5: Fact number 5 (merged)",
      "fact_6: Fact number 6 (merged)",
      "meanwhile: Came meanwhile (active)",
    ],
  );
});

test("a worker that is killed during the call, and one that comes back late: applied once", async () => {
  const id = await consolidate(ada);
  let asked = 0;
  const standIn = await startStandIn(() => {
    asked += 1;
    return asked === 1 ? "hang headers" : operations(merge("m1", "m2"));
  });
  const first = startProgram(standIn.url);
  await until("the first call", () => asked === 1);
  const lease = await task(id);
  first.child.kill("SIGKILL");
  await first.exit;
  await disconnected();
  await db.query(
    "update maintenance.task set lease_expires_at = clock_timestamp() - interval '1 s'",
  );
  await runOnce(standIn.url);
  await standIn.close();
  assert.equal((await task(id)).state, "succeeded");
  const now = await memories(ada);
  const late = db.query("select maintenance.complete_task($1, $2, $3)", [
    id,
    lease.lease_token,
    JSON.stringify({ operations: [merge("m3", "m4")] }),
  ]);
  await assert.rejects(late, { code: "PM014" });
  const replay = await db.query("select maintenance.complete_task($1, $2, '{}') as report", [
    id,
    (await task(id)).settled_token,
  ]);
  assert.equal(replay.rows[0].report.state, "succeeded");
  assert.deepEqual(await memories(ada), now);
});
