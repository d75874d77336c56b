// Chats over the real wire: the unchanged worker, a stand-in for Gemini, and whatever happens meanwhile.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import {
  db,
  disconnected,
  forget,
  gate,
  runOnce,
  setUp,
  startProgram,
  task,
  until,
} from "./setup.ts";
import { answerByRule, type Reply, type Seen, startStandIn } from "./stand-in.ts";
import { faultOf } from "./wire.ts";

const ada = "00000000-0000-0000-0000-000000000001";
const bob = "00000000-0000-0000-0000-000000000002";

before(setUp);
after(() => db.end());
beforeEach(async () => {
  await forget();
  await db.query(`
    delete from maintenance.change;
    delete from public.users;
    delete from maintenance_internal.erasure;
    insert into public.users (id, name) values ('${ada}', 'Ada'), ('${bob}', 'Bob');
  `);
});

/** Lets a user chat for a while, so many days ago; a message a minute. */
async function chat(user: string, daysAgo: number, count: number, text = "") {
  await db.query(
    `insert into public.messages (user_id, role, content, created_at)
     select $1, (array['user', 'assistant'])[1 + i % 2], 'Message ' || i || $4,
       now() - $2 * interval '1 day' + i * interval '1 minute'
     from generate_series(1, $3::integer) as i`,
    [user, daysAgo, count, text],
  );
}

async function archive(user: string): Promise<string> {
  const { rows } = await db.query(
    "select maintenance.enqueue_task('archive_session', $1)::text as id",
    [user],
  );
  return rows[0].id;
}

/** Runs the worker once, with one answer for every question; returns what was asked. */
async function answerWith(
  reply: (seen: Seen, nr: number) => Reply | Promise<Reply> = answerByRule,
): Promise<Seen[]> {
  const standIn = await startStandIn(reply);
  await runOnce(standIn.url);
  await standIn.close();
  return standIn.seen;
}

async function counts(user: string) {
  const { rows } = await db.query(
    `select (select count(*)::integer from public.messages where user_id = $1) as left,
       count(*)::integer as archived, coalesce(sum(message_count), 0)::integer as gone
     from public.archived_sessions where user_id = $1`,
    [user],
  );
  return rows[0];
}

const dueNow = "update maintenance.task set available_at = now() where state = 'ready'";

test("one task carries all of a user's old sessions, a call each", async () => {
  await chat(ada, 40, 4);
  await chat(ada, 30, 6);
  await chat(ada, 2, 3);
  await chat(bob, 50, 2);
  const id = await archive(ada);
  const seen = await answerWith();
  assert.equal(seen.length, 2);
  assert.equal(faultOf(seen[0]?.body ?? {}), null);
  const { state, result, attempts, claims } = await task(id);
  assert.deepEqual([state, attempts, claims], ["succeeded", 1, 2]);
  assert.deepEqual(result.result, { archived: 2, messages: 10 });
  assert.deepEqual(await counts(ada), { left: 3, archived: 2, gone: 10 });
  assert.deepEqual(await counts(bob), { left: 2, archived: 0, gone: 0 });
});

test("a long session is summed up part by part, and undone as a whole", async () => {
  await chat(ada, 40, 100, "x".repeat(1990));
  const id = await archive(ada);
  const seen = await answerWith((_, nr) => ({ text: `{"summary": "Part ${nr}."}` }));
  assert.equal(seen.length, 4);
  assert.match(seen[1]?.content ?? "", /\{"id": "s0", "summary": "Part 1\."\}/);
  const { rows } = await db.query("select summary, message_count from public.archived_sessions");
  assert.deepEqual(rows, [{ summary: "Part 4.", message_count: 100 }]);
  await db.query("select maintenance.undo_task($1)", [id]);
  assert.deepEqual(await counts(ada), { left: 100, archived: 0, gone: 0 });
});

test("a request that is too large is halved until it is taken", async () => {
  await chat(ada, 40, 100, "x".repeat(1990));
  const id = await archive(ada);
  const seen = await answerWith((call) =>
    call.content.length > 20_000
      ? {
          status: 400,
          error: {
            status: "INVALID_ARGUMENT",
            message:
              "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
          },
        }
      : answerByRule(call),
  );
  assert.equal((await task(id)).state, "succeeded");
  assert.deepEqual(await counts(ada), { left: 0, archived: 1, gone: 100 });
  assert(seen.some(({ content }) => content.length > 50_000));
});

test("what changes during the call is kept, and asked about again", async () => {
  await chat(ada, 40, 4);
  await archive(ada);
  await answerWith(async (call, nr) => {
    if (nr === 1) {
      await db.query(
        `update public.messages set content = 'Edited' where user_id = '${ada}' and content = 'Message 2';
         insert into public.messages (user_id, content, created_at)
         select '${ada}', 'Came meanwhile', max(created_at) + interval '1 minute' from public.messages`,
      );
    }
    return answerByRule(call);
  });
  assert.deepEqual(await counts(ada), { left: 5, archived: 0, gone: 0 });
  await db.query(dueNow);
  const seen = await answerWith();
  assert.match(seen[0]?.content ?? "", /Edited[\s\S]*Came meanwhile/);
  assert.deepEqual(await counts(ada), { left: 0, archived: 1, gone: 5 });
});

const failures: [string, Reply][] = [
  ["503", { status: 503 }],
  ["500", { status: 500 }],
  ["an empty summary", { text: '{"summary": "  "}' }],
  ["no summary", { text: "{}" }],
  ["an oversized summary", { text: JSON.stringify({ summary: "x".repeat(4001) }) }],
  ["half an answer", { text: '{"summary": "', finishReason: "MAX_TOKENS" }],
  ["an empty answer", { text: "" }],
];
for (const [what, reply] of failures) {
  test(`S0-22: with ${what} for an answer, no message goes`, async () => {
    await chat(ada, 40, 4);
    await archive(ada);
    await answerWith(() => reply);
    assert.deepEqual(await counts(ada), { left: 4, archived: 0, gone: 0 });
  });
}

test("a worker that is killed during the call: the next one archives, once", async () => {
  await chat(ada, 40, 4);
  const id = await archive(ada);
  const standIn = await startStandIn((call, nr) =>
    nr === 1 ? "hang headers" : answerByRule(call),
  );
  const { child } = startProgram(standIn.url);
  await until("the model is asked", () => standIn.seen.length === 1);
  child.kill("SIGKILL");
  await disconnected();
  assert.deepEqual(await counts(ada), { left: 4, archived: 0, gone: 0 });
  await db.query("update maintenance.task set lease_expires_at = now()");
  await runOnce(standIn.url);
  await standIn.close();
  assert.equal((await task(id)).recoveries, 1);
  assert.deepEqual(await counts(ada), { left: 0, archived: 1, gone: 4 });
});

test("S0-20: a user who goes during the call leaves no word behind, and the worker goes on", async () => {
  await chat(ada, 40, 4, " ZEBRA-7731");
  await chat(bob, 40, 4);
  await archive(ada);
  await archive(bob);
  const asked = gate();
  await answerWith(async (call) => {
    if (call.content.includes("ZEBRA")) {
      await db.query("delete from public.users where id = $1", [ada]);
      asked.open();
    } else {
      await asked.opened;
    }
    return answerByRule(call);
  });
  await db.query("select maintenance_internal.erase_subjects()");
  const tables = await db.query(
    `select c.oid::regclass::text as name from pg_class as c where c.relkind = 'r'
     and c.relnamespace in ('maintenance'::regnamespace, 'maintenance_internal'::regnamespace, 'public'::regnamespace)`,
  );
  for (const { name } of tables.rows) {
    if (name === "maintenance_internal.erasure") continue; // for a minute more
    const { rows } = await db.query(`select t::text from ${name} as t where t::text ~ $1`, [
      `ZEBRA|${ada}`,
    ]);
    assert.deepEqual(rows, [], name);
  }
  assert.deepEqual(await counts(bob), { left: 0, archived: 1, gone: 4 });
});
