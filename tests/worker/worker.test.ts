// The worker and the real program: what is asked, what comes back, and that nothing is lost or done
// twice when the worker, the lease or Postgres goes away.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { Client } from "pg";
import {
  databaseUrl,
  db,
  disconnected,
  enqueue,
  forget,
  gate,
  runOnce,
  setUp,
  startProgram,
  task,
  until,
  words,
} from "./setup.ts";
import { answerByRule, type Reply, startStandIn } from "./stand-in.ts";

before(setUp);
after(() => db.end());
beforeEach(forget);

const word = (text: string): Reply => ({ text: JSON.stringify({ word: text }) });
test("a kind made of SQL alone is served by the unchanged worker", async () => {
  const standIn = await startStandIn((seen) => word(seen.content.toUpperCase()));
  const ids: string[] = [];
  for (const subject of ["one", "two", "three"]) ids.push(await enqueue(subject));
  await runOnce(standIn.url, { concurrency: 2 });
  await standIn.close();
  for (const id of ids) assert.equal((await task(id)).state, "succeeded");
  assert.deepEqual(await words("two"), ["TWO"]);
  const { body, key, model } = standIn.seen[0] ?? assert.fail("nothing was asked");
  assert.equal(key, "test-key");
  assert.equal(model, "gemini-3.5-flash-lite");
  assert.deepEqual(Object.keys(body).sort(), [
    "contents",
    "generationConfig",
    "safetySettings",
    "systemInstruction",
  ]);
  assert.deepEqual(body["generationConfig"], {
    responseMimeType: "application/json",
    responseSchema: {
      type: "object",
      properties: { word: { type: "string" } },
      required: ["word"],
    },
    maxOutputTokens: 2048,
  });
});

test("a profile is analysed, and unchanged messages cost no second call", async () => {
  const standIn = await startStandIn(answerByRule);
  const user = (await db.query("insert into public.users (email) values ('ada') returning id"))
    .rows[0].id;
  await db.query(
    "insert into public.messages (user_id, content, created_at) select $1, case i when 3 then 'I like swimming' else 'hm' end, now() - i * interval '1 hour' from generate_series(1, 12) as i",
    [user],
  );
  await db.query("select maintenance.trigger_jobs('analyze')");
  await runOnce(standIn.url);
  const profile = await db.query(
    "select sport, set_by from public.user_profiles where user_id = $1",
    [user],
  );
  assert.deepEqual(profile.rows, [{ sport: "swimming", set_by: { sport: "model" } }]);
  assert.equal(standIn.seen.length, 1);
  await db.query("select maintenance.trigger_jobs('analyze')");
  await runOnce(standIn.url);
  await standIn.close();
  assert.equal(standIn.seen.length, 1, "no second call");
});

test("a wrong key ends --once with 1, burns no attempt and is never shown", async () => {
  const standIn = await startStandIn(() => word("x"), { keys: ["right"] });
  const id = await enqueue("key");
  const program = startProgram(standIn.url, { GEMINI_API_KEY: "wrong-S3cret" }, ["--once"]);
  assert.equal(await program.exit, 1);
  await standIn.close();
  assert.equal((await task(id)).attempts, 0);
  assert.equal((await task(id)).last_class, "configuration");
  assert.match(
    program.output(),
    /400 INVALID_ARGUMENT, API_KEY_INVALID, the key is not valid: POST 127.0.0.1:\d+, gemini-.*refused/,
  );
  assert(!program.output().includes("S3cret"));
});

test("--once says what it put off, does not wait for it, and ends with 0", async () => {
  const standIn = await startStandIn(() => ({ status: 503, error: { message: "busy" } }));
  await enqueue("put off");
  await db.query("update maintenance.model set enabled = position = 1");
  await db.query(`
    insert into maintenance_internal.cool_down (model, class, reason, times, since, until)
    select model, 'fault', 'x', 4, now() - interval '1 second', now() from maintenance.model
    where position = 1`);
  const program = startProgram(standIn.url, {}, ["--once"]);
  assert.equal(await program.exit, 0);
  await standIn.close();
  await db.query("update maintenance.model set enabled = true");
  assert.match(program.output(), /"why":"no model can be asked for echo: .*none is handed out/);
  assert.match(program.output(), /"served":1,"put_off":1,.*"msg":"no model can be asked/);
});

test("kill -9 during a call: another worker does the work, and it is applied once", async () => {
  const held = gate();
  const standIn = await startStandIn(async (_seen, nr) => {
    if (nr === 1) await held.opened;
    return word(`call ${nr}`);
  });
  const id = await enqueue("killed");
  const program = startProgram(standIn.url);
  await until("the call is made", () => standIn.seen.length === 1);
  program.child.kill("SIGKILL");
  await program.exit;
  held.open();
  await disconnected();
  await db.query("update maintenance.task set lease_expires_at = now() where task_id = $1", [id]);
  await runOnce(standIn.url);
  await standIn.close();
  assert.deepEqual(await words("killed"), ["call 2"]);
  const row = await task(id);
  assert.deepEqual([row.state, row.recoveries, row.attempts], ["succeeded", 1, 1]);
});

test("no more calls are in flight than CONCURRENCY says", async () => {
  const held: (() => void)[] = []; // a call each, in the order in which they came
  let isHolding = true;
  const standIn = await startStandIn(async () => {
    if (isHolding) await new Promise<void>((resolve) => held.push(resolve));
    return word("x");
  });
  for (let i = 0; i < 12; i += 1) await enqueue(`many ${i}`);
  const running = runOnce(standIn.url, { concurrency: 3, pollMs: 10 });
  try {
    // A claim leases all that it takes at once: too many show before they are asked about.
    for (let ended = 0; ended + 3 <= 12; ended += 1) {
      await until("the slots are full", () => held.length >= ended + 3);
      const { rows } = await db.query(
        "select count(*)::integer as n from maintenance.task where state = 'leased'",
      );
      assert.equal(rows[0].n, 3);
      held[ended]?.();
    }
  } finally {
    isHolding = false;
    for (const letGo of held) letGo();
    await running;
    await standIn.close();
  }
  assert.equal(standIn.seen.length, 12);
});

test("no transaction and no busy connection while a model thinks", async () => {
  const held = gate();
  const standIn = await startStandIn(async () => {
    await held.opened;
    return word("x");
  });
  for (let i = 0; i < 8; i += 1) await enqueue(`thinking ${i}`);
  const running = runOnce(standIn.url, { concurrency: 8 });
  await until("all calls are made", () => standIn.seen.length === 8);
  await until("nothing is busy", async () => {
    const { rows } = await db.query(
      "select from pg_stat_activity where application_name = 'edge-worker' and datname = current_database() and state <> 'idle'",
    );
    return rows.length === 0;
  });
  held.open();
  await running;
  await standIn.close();
});

test("the model's row has settings of the request; GEMINI_MODEL is not read", async () => {
  const standIn = await startStandIn(() => word("x"));
  await db.query("begin");
  await db.query("update maintenance.model set enabled = position = 3");
  await db.query(`select maintenance.set_model('gemini-2.5-flash-lite', generation => '{"seed": 7}',
    request => '{"serviceTier": "flex"}')`);
  await db.query("commit");
  await enqueue("model");
  const program = startProgram(standIn.url, { GEMINI_MODEL: "gemini-9" }, ["--once"]);
  assert.equal(await program.exit, 0);
  await standIn.close();
  await db.query(
    `select maintenance.set_model('gemini-2.5-flash-lite', generation => '{}', request => '{}')`,
  );
  await db.query("update maintenance.model set enabled = true");
  const { model, body } = standIn.seen[0] ?? assert.fail("nothing was asked");
  assert.equal(model, "gemini-2.5-flash-lite");
  assert.equal(body["serviceTier"], "flex");
  assert.equal((body["generationConfig"] as Record<string, unknown>)["seed"], 7);
  assert.match(program.output(), /GEMINI_MODEL is not read/);
});

test("a lease that is lost ends the call, and nothing is written", async () => {
  const standIn = await startStandIn(() => "hang headers");
  const id = await enqueue("lost");
  const running = runOnce(standIn.url, { leaseMs: 1000 });
  await until("the call is made", () => standIn.seen.length === 1);
  await db.query(
    "update maintenance.task set lease_token = gen_random_uuid(), worker = 'another' where task_id = $1",
    [id],
  );
  await running;
  await standIn.close();
  const row = await task(id);
  assert.deepEqual([row.state, row.worker], ["leased", "another"]);
});

test("heartbeats keep a lease through a call that is longer than it", async () => {
  const standIn = await startStandIn(async () => {
    await new Promise((resolve) => setTimeout(resolve, 2500));
    return word("slow");
  });
  const id = await enqueue("slow");
  const running = runOnce(standIn.url, { leaseMs: 1000 });
  await until("the call is made", () => standIn.seen.length === 1);
  for (let i = 0; i < 10; i += 1) {
    await new Promise((resolve) => setTimeout(resolve, 150));
    const { rows } = await db.query("select * from maintenance.claim_tasks('thief', 1)");
    assert.deepEqual(rows, []);
  }
  await running;
  await standIn.close();
  assert.deepEqual([(await task(id)).state, (await task(id)).recoveries], ["succeeded", 0]);
});

test("answers that wait for a lock keep nobody from extending leases", async () => {
  const standIn = await startStandIn(() => word("x"));
  const session = new Client({ connectionString: process.env["TEST_DATABASE_URL"] });
  await session.connect();
  await session.query("begin; lock table public.echo in access exclusive mode");
  const subjects = Array.from({ length: 16 }, (_, i) => `waits ${i}`);
  for (const subject of subjects) await enqueue(subject);
  const program = startProgram(standIn.url, { CONCURRENCY: "16", LEASE_MS: "10000" });
  await until("all are asked", () => standIn.seen.length === 16);
  // All leases are twice as long as they were, although their answers wait all the time.
  let least = Number.POSITIVE_INFINITY;
  await until("the leases are extended again and again", async () => {
    const { rows } = await db.query(
      `select min(extract(epoch from lease_expires_at - clock_timestamp()))::float as left,
        min(extract(epoch from lease_expires_at - leased_at))::float as long
      from maintenance.task where state = 'leased'`,
    );
    least = Math.min(least, rows[0].left);
    return rows[0].long > 20;
  });
  await session.end();
  await until("all are applied", async () => {
    const { rows } = await db.query("select from maintenance.task where state <> 'succeeded'");
    return rows.length === 0;
  });
  program.child.kill("SIGTERM");
  await program.exit;
  await standIn.close();
  assert(least > 0, `a lease had ${least} s left of ten, and is extended each 2.5`);
  assert.equal(standIn.seen.length, 16);
});

test("two workers and one subject: one call, one application", async () => {
  const standIn = await startStandIn(() => word("once"));
  const subjects = Array.from({ length: 20 }, (_, i) => `shared ${i}`);
  for (const subject of subjects) await enqueue(subject);
  await Promise.all([runOnce(standIn.url), runOnce(standIn.url)]);
  await standIn.close();
  assert.equal(standIn.seen.length, 20);
  for (const subject of subjects) assert.deepEqual(await words(subject), ["once"]);
});

test("Postgres goes away during a call: the answer waits for it, and is applied once", async () => {
  const held = gate();
  const standIn = await startStandIn(async () => {
    await held.opened;
    return word("kept");
  });
  const id = await enqueue("outage");
  const program = startProgram(standIn.url);
  await until("the call is made", () => standIn.seen.length === 1);
  const url = new URL(process.env["TEST_DATABASE_URL"] ?? "");
  const name = url.pathname.slice(1);
  url.pathname = "/postgres";
  const admin = new Client({ connectionString: url.href });
  await admin.connect();
  try {
    await admin.query(`alter database ${name} with allow_connections false`);
    await admin.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and application_name = 'edge-worker'",
      [name],
    );
    held.open();
    await until("it notices", () => program.output().includes("postgres did not take it"));
  } finally {
    await admin.query(`alter database ${name} with allow_connections true`);
    await admin.end();
  }
  await until("it is applied", async () => (await task(id)).state === "succeeded");
  assert.deepEqual(await words("outage"), ["kept"]);
  assert.equal(standIn.seen.length, 1);
  await enqueue("after the outage");
  await until("the program goes on", async () => (await words("after the outage")).length === 1);
  program.child.kill("SIGTERM");
  assert.equal(await program.exit, 0);
  await standIn.close();
});

test("an emergency stop during a call: the answer waits for resume, and is applied once", async () => {
  const held = gate();
  const standIn = await startStandIn(async () => {
    await held.opened;
    return word("kept");
  });
  const id = await enqueue("stopped");
  const program = startProgram(standIn.url);
  await until("the call is made", () => standIn.seen.length === 1);
  await db.query("select maintenance.emergency_stop('a drill')");
  try {
    await enqueue("meanwhile");
    held.open();
    await until("it is refused", () => program.output().includes("no answer is taken"));
    await until("no task is handed out", () => program.output().includes("stopped since"));
    assert.equal((await task(id)).state, "leased");
  } finally {
    await db.query("select maintenance.resume()");
  }
  await until("it is applied", async () => (await task(id)).state === "succeeded");
  assert.deepEqual(await words("stopped"), ["kept"]);
  await until("the program goes on", async () => (await words("meanwhile")).length === 1);
  assert.equal(standIn.seen.length, 2);
  program.child.kill("SIGTERM");
  assert.equal(await program.exit, 0);
  await standIn.close();
});

test("the worker's login can do nothing but carry", async () => {
  const worker = new Client({ connectionString: databaseUrl });
  await worker.connect();
  for (const sql of [
    "select * from maintenance.task",
    "select * from public.messages",
    "select * from public.maintenance_status",
    "select maintenance.enqueue_task('echo', 'x')",
  ]) {
    await assert.rejects(worker.query(sql), { code: "42501" });
  }
  await worker.end();
});
