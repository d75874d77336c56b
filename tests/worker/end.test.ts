// How a worker ends: within its grace whatever hangs, with nothing thrown away that was paid for,
// and with 0 only where nothing of its own is left leased.
import assert from "node:assert/strict";
import { after, before, beforeEach, type TestContext, test } from "node:test";
import { Client } from "pg";
import { openProxy } from "./proxy.ts";
import {
  databaseUrl,
  db,
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
import { type Reply, startStandIn } from "./stand-in.ts";

before(setUp);
beforeEach(forget);
after(() => db.end());

const word = (text: string): Reply => ({ text: JSON.stringify({ word: text }) });

/** A session that holds the table of the answers until it is let go. */
async function lockTable(t: TestContext) {
  const session = new Client({ connectionString: process.env["TEST_DATABASE_URL"] });
  await session.connect();
  await session.query("begin; lock table public.echo in access exclusive mode");
  t.after(() => session.end().catch(() => {}));
  return {
    waiters: async () =>
      (
        await session.query(
          "select count(*)::integer as n from pg_locks where relation = 'public.echo'::regclass and not granted",
        )
      ).rows[0].n,
    letGo: () => session.end(),
  };
}

/** The outcomes of the calls on record; asked: nobody knows the end yet. */
async function outcomes() {
  return (await db.query("select outcome from maintenance.model_call order by call_id")).rows.map(
    ({ outcome }) => outcome,
  );
}

test("SIGTERM lets a call end", async () => {
  const held = gate();
  const standIn = await startStandIn(async () => {
    await held.opened;
    return word("in time");
  });
  const id = await enqueue("drained");
  const program = startProgram(standIn.url);
  await until("the call is made", () => standIn.seen.length === 1);
  program.child.kill("SIGTERM");
  await until("it stops", () => program.output().includes("waiting for calls in flight"));
  await enqueue("left alone");
  held.open();
  assert.equal(await program.exit, 0);
  await standIn.close();
  assert.equal((await task(id)).state, "succeeded");
  assert.equal(standIn.seen.length, 1, "and claims no more");
});

test("a call that does not end in time is given back with its attempt", async () => {
  const standIn = await startStandIn(() => "hang headers");
  const id = await enqueue("given back");
  const program = startProgram(standIn.url, { GRACE_MS: "1000" });
  await until("the call is made", () => standIn.seen.length === 1);
  program.child.kill("SIGTERM");
  assert.equal(await program.exit, 0);
  await standIn.close();
  const row = await task(id);
  assert.deepEqual([row.state, row.attempts, row.recoveries], ["ready", 0, 0]);
  assert.deepEqual(await outcomes(), ["released"], "it may be billed");
  assert.match(program.output(), /"result":"given back"/);
});

test("what waits for its place is given back at once, and its place too", async () => {
  const standIn = await startStandIn(() => word("x"));
  await db.query("select maintenance.set_model('gemini-3.5-flash-lite', per_minute => 20)");
  try {
    for (const subject of ["first", "second", "third"]) await enqueue(`place ${subject}`);
    // With a grace of a minute and a half the three would all be asked.
    const program = startProgram(standIn.url, { GRACE_MS: "90000" });
    // Whichever of them was asked about first.
    await until("one is done", async () => {
      const { rows } = await db.query("select from public.echo where subject like 'place %'");
      return rows.length === 1;
    });
    const { rows } = await db.query("select state from maintenance.task where state = 'leased'");
    assert.equal(rows.length, 2);
    program.child.kill("SIGTERM");
    assert.equal(await program.exit, 0);
    await standIn.close();
    assert.deepEqual(await outcomes(), ["succeeded", "unasked", "unasked"]);
    assert.equal(standIn.seen.length, 1);
  } finally {
    await db.query("select maintenance.set_model('gemini-3.5-flash-lite', per_minute => -1)");
  }
});

test("a second signal exits at once", async () => {
  const standIn = await startStandIn(() => "hang headers");
  await enqueue("twice");
  const program = startProgram(standIn.url, { GRACE_MS: "60000" });
  await until("the call is made", () => standIn.seen.length === 1);
  program.child.kill("SIGTERM");
  await until("it stops", () => program.output().includes("once more to stop at once"));
  await new Promise((resolve) => setTimeout(resolve, 1100)); // not the same one, told twice
  program.child.kill("SIGTERM");
  assert.equal(await program.exit, 1);
  await standIn.close();
});

test("a signal to npm start reaches the worker", async () => {
  const standIn = await startStandIn(() => word("x"));
  const program = startProgram(standIn.url, {}, [], { command: ["npm", "start"] });
  await until("it has started", () => program.output().includes('"started"'));
  program.child.kill("SIGTERM");
  await until("it has stopped", () => program.output().includes('"stopped"'));
  await program.exit;
  await standIn.close();
});

test("Ctrl-C on npm start, which the terminal and npm both tell the worker, is one signal", async () => {
  const held = gate();
  const standIn = await startStandIn(async () => {
    await held.opened;
    return word("kept");
  });
  await enqueue("interrupted");
  const program = startProgram(standIn.url);
  await until("the call is made", () => standIn.seen.length === 1);
  program.child.kill("SIGINT");
  await until("it stops", () => program.output().includes("waiting for calls in flight"));
  program.child.kill("SIGINT");
  await new Promise((resolve) => setTimeout(resolve, 100));
  held.open();
  assert.equal(await program.exit, 0);
  await standIn.close();
  assert.deepEqual(await words("interrupted"), ["kept"]);
});

test("a log that nobody reads any more does not keep it from its work, nor from its end", async () => {
  const standIn = await startStandIn(() => word("unread"));
  const program = startProgram(
    standIn.url,
    { LOG_LEVEL: "trace", POLL_INTERVAL_MS: "50", GRACE_MS: "1000" },
    [],
    { isRead: false },
  );
  for (let i = 0; i < 600; i += 1) void enqueue(`unread ${i}`);
  await until("all are done", async () => (await words("unread 599")).length === 1, 60_000);
  program.child.kill("SIGTERM");
  const code = await program.exit;
  assert([0, null].includes(code), `it ended with ${code}`);
  await standIn.close();
});

test("an answer in hand is not thrown away: applied, where the lock goes in time", async (t) => {
  const standIn = await startStandIn(() => word("paid for"));
  const lock = await lockTable(t);
  const id = await enqueue("locked for a while");
  const program = startProgram(standIn.url, { GRACE_MS: "20000" });
  await until("the answer waits for the lock", async () => (await lock.waiters()) === 1);
  program.child.kill("SIGTERM");
  await until("it stops", () => program.output().includes("waiting for calls in flight"));
  await lock.letGo();
  assert.equal(await program.exit, 0);
  await standIn.close();
  assert.equal((await task(id)).state, "succeeded");
  assert.deepEqual(await words("locked for a while"), ["paid for"]);
  assert.deepEqual(await outcomes(), ["succeeded"]);
});

test("or it is left to its lease, with the call on record, and not given back", async (t) => {
  const standIn = await startStandIn(() => word("paid for"));
  const lock = await lockTable(t);
  const id = await enqueue("locked");
  const program = startProgram(standIn.url, { GRACE_MS: "800" });
  await until("the answer waits for the lock", async () => (await lock.waiters()) === 1);
  program.child.kill("SIGTERM");
  assert.equal(await program.exit, 0);
  assert.match(program.output(), /"left":1,"msg":"tasks are left to their leases"/);
  await standIn.close();
  const row = await task(id);
  assert.deepEqual([row.state, row.attempts], ["leased", 1]);
  assert.deepEqual(await outcomes(), ["asked"]);
  await lock.letGo();
  // What it had sent may still be heard, or its lease runs out: in both cases the call stays.
  await db.query("update maintenance.task set lease_expires_at = now() where state = 'leased'");
  await db.query("select maintenance_internal.sweep_leases()");
  assert.notDeepEqual(await outcomes(), ["asked"]);
});

test("a half-open connection: the end comes all the same", async () => {
  const held = gate();
  const standIn = await startStandIn(async () => {
    await held.opened;
    return word("x");
  });
  const proxy = await openProxy(databaseUrl);
  const id = await enqueue("half open");
  const program = startProgram(standIn.url, {
    DATABASE_URL: proxy.url(databaseUrl),
    GRACE_MS: "1500",
  });
  await until("the call is made", () => standIn.seen.length === 1);
  proxy.freeze(true);
  held.open(); // the answer goes nowhere
  const started = Date.now();
  program.child.kill("SIGTERM");
  assert.equal(await program.exit, 0);
  const ms = Date.now() - started;
  assert(ms >= 1400 && ms < 20_000, `it has tried for its grace, and not for a minute: ${ms} ms`);
  await standIn.close();
  await proxy.close();
  assert.deepEqual([(await task(id)).state, (await task(id)).attempts], ["leased", 1]);
});

test("an apply that never ends in time is tried five times, and is a failure then", async () => {
  const standIn = await startStandIn(() => word("x"));
  const proxy = await openProxy(databaseUrl);
  // What passes by itself counts for nothing.
  const trap = { word: "maintenance.complete_task(", does: "cut before", times: 1 } as const;
  proxy.trap({ ...trap });
  proxy.trap({ ...trap, does: { sqlstate: "57014" }, times: 99 });
  const id = await enqueue("too slow to apply");
  const ended = await runOnce(standIn.url, { databaseUrl: proxy.url(databaseUrl) });
  await standIn.close();
  await proxy.close();
  assert.equal(proxy.sprung(), 6);
  assert.deepEqual([ended.left, ended.failed], [0, false]);
  const row = await task(id);
  assert.deepEqual(
    [row.state, row.last_error],
    ["ready", "the answer was not taken: SQLSTATE 57014"],
  );
  const { rows } = await db.query(
    "select outcome, output_tokens > 0 as paid from maintenance.model_call",
  );
  assert.deepEqual(rows, [{ outcome: "transient", paid: true }], "its cost is on record");
});

test("--once with an answer in hand waits for Postgres as long as a lease, and ends with 1", async () => {
  const held = gate();
  const standIn = await startStandIn(async () => {
    await held.opened;
    return word("x");
  });
  const proxy = await openProxy(databaseUrl);
  await enqueue("gone");
  const program = startProgram(
    standIn.url,
    { DATABASE_URL: proxy.url(databaseUrl), LEASE_MS: "10000" },
    ["--once"],
  );
  await until("the call is made", () => standIn.seen.length === 1);
  proxy.refuse(true);
  held.open();
  assert.equal(await program.exit, 1);
  assert.match(program.output(), /"left":1,"msg":"tasks are left to their leases"/);
  await standIn.close();
  await proxy.close();
});

test("stopped before it could work: --once ends with 1, and never says that nothing is due", async () => {
  const proxy = await openProxy(databaseUrl);
  proxy.refuse(true);
  for (const [args, code] of [
    [["--once"], 1],
    [[], 0],
  ] as const) {
    const program = startProgram("http://127.0.0.1:1", { DATABASE_URL: proxy.url(databaseUrl) }, [
      ...args,
    ]);
    await until("it tries", () => program.output().includes("postgres cannot be reached"));
    program.child.kill("SIGTERM");
    assert.equal(await program.exit, code);
    assert.match(program.output(), /stopped before Postgres could be reached/);
    assert.doesNotMatch(program.output(), /nothing is due/);
  }
  await proxy.close();
});

test("a claim that was heard and not answered is sent again, and what it leased is given back", async () => {
  const standIn = await startStandIn(() => word("x"));
  const proxy = await openProxy(databaseUrl);
  const program = startProgram(standIn.url, {
    DATABASE_URL: proxy.url(databaseUrl),
    POLL_INTERVAL_MS: "300",
    LOG_LEVEL: "debug",
  });
  await until("its first claim is over", () => program.output().includes('"waiting"'));
  proxy.trap({ word: "maintenance.claim_tasks(", does: "cut after", times: 1 });
  const id = await enqueue("heard");
  await until("it is cut", () => proxy.sprung() === 1);
  await until("it notices", () => program.output().includes("postgres cannot be asked"));
  program.child.kill("SIGTERM");
  assert.equal(await program.exit, 0);
  const row = await task(id);
  assert.deepEqual([row.state, row.attempts], ["ready", 0]);
  assert.doesNotMatch(program.output(), /left to their leases/);
  await standIn.close();
  await proxy.close();
});

test("--once ends with 1 where something of its own is left leased", async (t) => {
  const standIn = await startStandIn(() => word("x"));
  const lock = await lockTable(t);
  await enqueue("left by once");
  const program = startProgram(standIn.url, { GRACE_MS: "500" }, ["--once"]);
  await until("the answer waits for the lock", async () => (await lock.waiters()) === 1);
  program.child.kill("SIGTERM");
  assert.equal(await program.exit, 1);
  await lock.letGo();
  await standIn.close();
});

test("a claim that hangs does not keep it, and counts as left", async () => {
  const standIn = await startStandIn(() => word("x"));
  const proxy = await openProxy(databaseUrl);
  const program = startProgram(standIn.url, {
    DATABASE_URL: proxy.url(databaseUrl),
    GRACE_MS: "500",
    LOG_LEVEL: "debug",
  });
  await until("it waits", () => program.output().includes('"waiting"'));
  proxy.freeze(true);
  await until("it asks again", async () => {
    await new Promise((resolve) => setTimeout(resolve, 300));
    return !program.output().endsWith('"claimed"}\n');
  });
  program.child.kill("SIGTERM");
  assert.equal(await program.exit, 0);
  assert.match(program.output(), /nobody knows whether the last claim has leased a task/);
  await standIn.close();
  await proxy.close();
});

test("an answer that Postgres refuses for good is a failure that says why, and frees the slot", async () => {
  const held = gate();
  const standIn = await startStandIn(async () => {
    await held.opened;
    return word("x");
  });
  const id = await enqueue("refused");
  const door = "function maintenance.complete_task(bigint, uuid, text, jsonb)";
  const running = runOnce(standIn.url);
  await until("the call is made", () => standIn.seen.length === 1);
  await db.query(`revoke execute on ${door} from maintenance_worker`);
  try {
    held.open();
    assert.equal((await running).left, 0);
  } finally {
    await db.query(`grant execute on ${door} to maintenance_worker`);
  }
  await standIn.close();
  const row = await task(id);
  assert.deepEqual([row.state, row.last_class], ["ready", "transient"]);
  assert.match(row.last_error, /^the answer was not taken: permission denied for function/);
  assert.deepEqual(await words("refused"), []);
});
