// A companion over the real wire (S3-02, S3-03, S3-16, S3-18, C-25, C-26): its seven kinds, carried by the unchanged
// worker and answered by a stand-in for Gemini.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { db, disconnected, forget, runOnce, setUp, startProgram, until } from "./setup.ts";
import { answerByRule, type Reply, type Seen, startStandIn } from "./stand-in.ts";
import { faultOf } from "./wire.ts";

const ada = "00000000-0000-0000-0000-000000000001";
const conversation = "00000000-0000-0000-0000-000000000011";
const character = "00000000-0000-0000-0000-000000000021";

before(setUp);
after(() => db.end());
beforeEach(async () => {
  await forget();
  await db.query(`
    delete from maintenance.change;
    delete from public.users;
    delete from maintenance_internal.erasure;
    insert into public.users (id, name) values ('${ada}', 'Ada');
    select public.enqueue_patch_job('${ada}', '${conversation}', '${character}', turn,
      jsonb_build_object('user', 'Turn ' || turn || '?')) from generate_series(1, 3) as turn;
    insert into public.messages (user_id, conversation_id, role, content, created_at)
    select '${ada}', '${conversation}', r.role, 'Said at ' || m.at, m.at + r.nr * interval '1 minute'
    from (values (date_bin('10 minutes', now() - interval '90 minutes', 'epoch')),
        (date_bin('1 day', now(), 'epoch') - interval '12 hours'),
        (date_bin('14 days', now(), 'epoch') - interval '12 hours')) as m (at),
      (values (1, 'user'), (2, 'assistant')) as r (nr, role);
  `);
});

async function answerWith(
  reply: (seen: Seen, nr: number) => Reply | Promise<Reply> = answerByRule,
): Promise<Seen[]> {
  const standIn = await startStandIn(reply);
  await runOnce(standIn.url);
  await standIn.close();
  return standIn.seen;
}

const run = async (job: string) =>
  (await db.query("select maintenance.run_now($1) -> 'success' as ok", [job])).rows[0].ok;

async function states() {
  const { rows } = await db.query(
    `select c.version, jsonb_path_query_array(c.state, '$.ledger.event_log[*].text') as events,
       (select string_agg(status, ' ' order by conversation_id = $1 desc, turn_seq) from public.patch_jobs) as jobs
     from public.conversation_states as c where conversation_id = $1`,
    [conversation],
  );
  return rows[0];
}

test("turns become patches and patches the state, one call a turn", async () => {
  assert(await run("apply_patch_jobs"));
  const seen = await answerWith();
  assert.equal(seen.length, 3);
  for (const { body } of seen) assert.equal(faultOf(body), null);
  assert(await run("apply_patch_jobs"));
  assert.deepEqual(await states(), {
    version: 4,
    events: ["Turn 1?", "Turn 2?", "Turn 3?"],
    jobs: "done done done",
  });
});

test("memories of each level and posts of each kind are made, and no second time", async () => {
  const asked: Seen[] = [];
  for (let round = 1; round <= 4; round++) {
    assert(await run("trigger_memories"));
    assert(await run("trigger_posts"));
    asked.push(...(await answerWith()));
  }
  for (const { body } of asked) assert.equal(faultOf(body), null);
  const { rows } = await db.query(`
    select (select count(*)::integer from public.memory_b_episodes) >= 1 as buckets,
      (select count(*)::integer from public.memory_daily) >= 1 as days,
      (select count(*)::integer from public.memory_biweekly) as weeks,
      (select array_agg(input_event order by input_event) from public.messages where input_event <> '') as posts,
      (select count(*)::integer from public.patch_jobs where turn_seq is null) as jobs`);
  assert.deepEqual(rows[0], {
    buckets: true,
    days: true,
    weeks: 1,
    posts: ["DIARY_DAILY", "MOMENT_POST", "SCHEDULE_TICK"],
    jobs: 3,
  });
  await run("trigger_posts");
  await run("trigger_memories");
  assert.deepEqual(
    (await answerWith()).filter(({ system }) => system.includes("You are the character")),
    [],
  );
});

test("a worker that is killed during a call: the next one makes each patch once", async () => {
  assert(await run("apply_patch_jobs"));
  const standIn = await startStandIn((call, nr) =>
    nr === 2 ? "hang headers" : answerByRule(call),
  );
  const { child } = startProgram(standIn.url);
  await until("the second turn is asked about", () => standIn.seen.length === 2);
  child.kill("SIGKILL");
  await disconnected();
  await db.query("update maintenance.task set lease_expires_at = now() where state = 'leased'");
  await runOnce(standIn.url);
  await standIn.close();
  assert(await run("apply_patch_jobs"));
  assert.deepEqual((await states()).events, ["Turn 1?", "Turn 2?", "Turn 3?"]);
});

test("what no model can make a patch of holds up no other conversation", async () => {
  await db.query(
    `select public.enqueue_patch_job($1, gen_random_uuid(), $2, 1, '{"user": "Bob?"}')`,
    [ada, character],
  );
  await db.query("update maintenance.kind set max_attempts = 1 where kind = 'patch_generate'");
  await run("apply_patch_jobs");
  await answerWith((call) => (call.content.includes("Turn") ? { text: "{}" } : answerByRule(call)));
  await db.query("update maintenance.kind set max_attempts = 5 where kind = 'patch_generate'");
  await run("apply_patch_jobs");
  assert.equal((await states()).jobs, "failed pending pending done");
});
