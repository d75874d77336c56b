// What a worker does first: it finds the database as psql would, looks whether it is one to work
// for, and says in a line what is missing.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { openProxy, selfSigned } from "./proxy.ts";
import {
  databaseUrl,
  db,
  enqueue,
  forget,
  login,
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

/** The real program against a database, once: how it ended, and what it said. */
async function run(env: Record<string, string>, args = ["--once"]) {
  const standIn = await startStandIn(() => word);
  const program = startProgram(standIn.url, env, args);
  const code = await program.exit;
  await standIn.close();
  return { code, output: program.output(), asked: standIn.seen.length };
}

const withOptions = (url: string, options: string) => `${url}?${options}`;

test("a database without pg-maintenance: it says so and ends, with and without --once", async () => {
  const name = `${new URL(databaseUrl).pathname.slice(1)}_empty`;
  await db.query(`create database ${name}`);
  const url = new URL(databaseUrl);
  url.pathname = `/${name}`;
  try {
    for (const args of [["--once"], []]) {
      const { code, output } = await run({ DATABASE_URL: url.href }, args);
      assert.equal(code, 1);
      assert.match(
        output,
        new RegExp(`^error: the database ${name}: pg-maintenance is not installed`),
      );
      assert(!/ at .*:\d+:\d+/.test(output), "no stack");
    }
  } finally {
    await db.query(`drop database ${name}`);
  }
});

test("S4-14: --health takes no task, and ends with 0, or with 1 where the database is not there", async () => {
  const id = await enqueue("healthy");
  const well = await run({}, ["--health"]);
  assert.equal(well.code, 0, well.output);
  assert.equal(well.asked, 0);
  assert.equal((await task(id)).state, "ready");
  const gone = new URL(databaseUrl);
  gone.port = "1";
  const ill = await run({ DATABASE_URL: gone.href }, ["--health"]);
  assert.equal(ill.code, 1);
  assert.match(ill.output, /^error: the database of DATABASE_URL: /m);
  assert.equal((await run({ GEMINI_API_KEY: "" }, ["--health"])).code, 1);
});

test("S2-26, S2-30: a worker says with its claims how it is", async () => {
  await db.query("delete from maintenance.worker");
  assert.equal((await run({ KINDS: "echo" })).code, 0);
  const { rows } = await db.query(
    `select worker, login, version ~ '^[0-9.]+, state [0-9a-f]+$' as has_version, kinds, pid > 1 as has_pid,
      rss_bytes > heap_bytes and heap_bytes > 1000000 as has_memory,
      started_at between now() - interval '2 minutes' and now() as has_started, seen_at > now() - interval '1 minute'
        as is_seen from maintenance.worker`,
  );
  assert.equal(rows.length, 1);
  const { worker, login: by, kinds, ...has } = rows[0];
  assert.match(worker, /:\d+:[0-9a-f]{8}$/);
  assert.equal(by, login.user);
  assert.deepEqual(kinds, ["echo"]);
  assert.deepEqual(Object.values(has), [true, true, true, true, true]);
});

test("a login without rights: what it may not, and what gives it the right", async () => {
  await db.query(`revoke maintenance_worker from ${login.user}`);
  const { code, output } = await run({});
  assert.equal(code, 1);
  assert.match(output, /may not call (\w+, ){7}\w+; as the owner of it: grant /);
  const grant = /^error: .*: (grant .*;)$/m.exec(output)?.[1] ?? assert.fail(output);
  await db.query(grant);
  const door = "function maintenance.release_task(bigint, uuid)";
  await db.query(`revoke execute on ${door} from maintenance_worker`);
  const one = await run({});
  await db.query(`grant execute on ${door} to maintenance_worker`);
  assert.equal(one.code, 1);
  assert.match(
    one.output,
    /_login may not call release_task; as the owner of it: select \* from maintenance.grant_roles\(\);\n$/,
  );
  await db.query(`alter role ${login.user} noinherit`);
  const none = await run({});
  const remedy = /: ((alter|grant) .*;)$/m.exec(none.output)?.[1] ?? assert.fail(none.output);
  await db.query(remedy);
  await enqueue("granted");
  assert.equal((await run({})).code, 0);
  assert.deepEqual(await words("granted"), ["x"]);
});

test("a database of a release that lacks a function: which, and who is of which", async () => {
  await db.query("alter function maintenance.release_task(bigint, uuid) rename to release");
  try {
    const { code, output } = await run({}, []);
    assert.equal(code, 1);
    assert.match(output, /it has no function maintenance.release_task\(bigint, uuid\)/);
    assert.match(output, /made by version .*, state \w+; this worker is of .*, state \w+/);
  } finally {
    await db.query("alter function maintenance.release(bigint, uuid) rename to release_task");
  }
});

test("a right that goes while it works: it ends with 1, and says which", async (t) => {
  const standIn = await startStandIn(() => word);
  t.after(() => standIn.close());
  const program = startProgram(standIn.url, { LOG_LEVEL: "debug" });
  await until("it works", () => program.output().includes('"waiting"'));
  const door = "function maintenance.claim_tasks(text, integer, interval, jsonb)";
  await db.query(`revoke execute on ${door} from maintenance_worker`);
  try {
    assert.equal(await program.exit, 1);
    assert.match(program.output(), /"level":60.*permission denied for function claim_tasks/);
  } finally {
    await db.query(`grant execute on ${door} to maintenance_worker`);
  }
});

test("another version that has all functions is worked for, and named", async () => {
  const { rows } = await db.query(
    "select obj_description('maintenance'::regnamespace, 'pg_namespace') as words",
  );
  await enqueue("same version");
  const same = await run({});
  assert.deepEqual([same.code, same.asked], [0, 1]);
  assert.doesNotMatch(same.output, /another version/);
  await db.query("comment on schema maintenance is 'pg-maintenance 0.0.0, state 00ff: yesterday'");
  try {
    await enqueue("other version");
    const other = await run({});
    assert.deepEqual([other.code, other.asked], [0, 1]);
    assert.match(other.output, /"database":"0\.0\.0, state 00ff","worker":".*another version/);
  } finally {
    await db.query(`comment on schema maintenance is '${rows[0].words}'`);
  }
});

test("a wrong password, or no such database: one line, with and without --once", async () => {
  const wrong = new URL(databaseUrl);
  wrong.password = "S3cret-but-wrong";
  const absent = new URL(databaseUrl);
  absent.pathname = "/there_is_no_such_database";
  for (const url of [wrong, absent]) {
    for (const args of [["--once"], []]) {
      const { code, output } = await run({ DATABASE_URL: url.href }, args);
      assert.equal(code, 1);
      assert.match(
        output,
        /^error: the database of DATABASE_URL: .*(password|does not exist).*\n$/,
      );
      assert(!output.includes("S3cret"));
    }
  }
});

test("of several hosts the first that is there, and takes changes, is worked with", async (t) => {
  const standby = await openProxy(databaseUrl);
  t.after(() => standby.close());
  standby.trap({ word: "show transaction_read_only", does: { sqlstate: "25006" }, times: 99 });
  const { host, username, password, pathname } = new URL(databaseUrl);
  const hosts = `127.0.0.1:1,127.0.0.1:${standby.port},${host}`;
  const url = `postgres://${username}:${password}@${hosts}${pathname}?target_session_attrs=read-write`;
  await enqueue("several hosts");
  const { code, output } = await run({ DATABASE_URL: url });
  assert.equal(code, 0);
  assert.deepEqual(await words("several hosts"), ["x"]);
  assert(standby.sprung() > 0, "it has come to the standby");
  assert.doesNotMatch(output, /"level":[456]/, "without a word");
});

test("sslmode means what it means to psql", async (t) => {
  const tls = selfSigned();
  const road = await openProxy(databaseUrl, tls);
  const plain = await openProxy(databaseUrl);
  t.after(async () => {
    tls.remove();
    await road.close();
    await plain.close();
  });
  const withTls = road.url(databaseUrl).replace(/\?.*/, "");
  const withoutTls = plain.url(databaseUrl).replace(/\?.*/, "");
  const root = `sslrootcert=${encodeURIComponent(tls.certFile)}`;
  for (const [name, url, ends] of [
    ["require", withOptions(withTls, "sslmode=require"), 0],
    [
      "require, as some services hand it out",
      withOptions(withTls, "sslmode=require&channel_binding=prefer"),
      0,
    ],
    ["require and an authority", withOptions(withTls, `sslmode=require&${root}`), 0],
    ["verify-full", withOptions(withTls, "sslmode=verify-full"), 1],
    ["verify-full and an authority", withOptions(withTls, `sslmode=verify-full&${root}`), 0],
    ["verify-ca and an authority", withOptions(withTls, `sslmode=verify-ca&${root}`), 0],
    ["verify-ca and none", withOptions(withTls, "sslmode=verify-ca"), 1],
    [
      "an authority that is not there",
      withOptions(withTls, "sslmode=verify-full&sslrootcert=/no/where"),
      1,
    ],
    ["none, where TLS is wanted", withTls, 0],
    ["prefer, where there is none", withOptions(withoutTls, "sslmode=prefer"), 0],
    ["none, where there is none", withoutTls, 0],
    ["require, where there is none", withOptions(withoutTls, "sslmode=require"), 1],
    ["disable, where TLS is wanted", withOptions(withTls, "sslmode=disable"), 1],
    ["allow, where TLS is wanted", withOptions(withTls, "sslmode=allow"), 0],
  ] as const) {
    await enqueue(name);
    const { code, output } = await run({ DATABASE_URL: url });
    assert.equal(code, ends, `${name}: ${output}`);
    assert.equal((await words(name)).length, 1 - ends, name);
    assert.doesNotMatch(output, /SECURITY WARNING.*\n.*SECURITY|\(Use `node --trace/, name);
    await forget();
  }
});

test("TLS is asked for anew with each connection, and never given up by a mishap", async (t) => {
  const tls = selfSigned();
  const road = await openProxy(databaseUrl, { ...tls, takesPlain: true });
  const standIn = await startStandIn(() => word);
  t.after(async () => {
    tls.remove();
    await road.close();
    await standIn.close();
  });
  const program = startProgram(standIn.url, {
    DATABASE_URL: road.url(databaseUrl).replace(/\?.*/, ""),
  });
  await until("it works", () => program.output().includes('"started"'));
  road.breakTls(2);
  road.cut();
  await until("it notices", () => program.output().includes("postgres cannot be asked"));
  await enqueue("after the mishap");
  await until("it goes on", async () => (await words("after the mishap")).length === 1);
  road.cut();
  await enqueue("after another");
  await until("and on", async () => (await words("after another")).length === 1);
  program.child.kill("SIGTERM");
  await program.exit;
  assert.equal(road.plain(), 0, "connections without TLS");
});

test("what does not pass by itself ends it at the start, as a service too", async (t) => {
  const tls = selfSigned();
  const road = await openProxy(databaseUrl, tls);
  const plain = await openProxy(databaseUrl);
  t.after(async () => {
    tls.remove();
    await road.close();
    await plain.close();
  });
  const bare = databaseUrl.replace(/\?.*/, "");
  const anonymous = new URL(bare);
  anonymous.password = "";
  for (const [url, words] of [
    [withOptions(plain.url(bare), "sslmode=require"), /does not support SSL/],
    [withOptions(road.url(bare), "sslmode=verify-full"), /certificate/],
    [withOptions(anonymous.href, "sslmode=disable"), /password/],
  ] as const) {
    const { code, output } = await run({ DATABASE_URL: url }, []);
    assert.equal(code, 1, output);
    assert.match(output, words);
    assert.match(output, /^error: the database of DATABASE_URL: [^\n]*\n$/);
  }
});

test("LEASE_MS is how long a lease lasts", async () => {
  const standIn = await startStandIn(() => "hang headers");
  const id = await enqueue("leased");
  const program = startProgram(standIn.url, { LEASE_MS: "30000", GRACE_MS: "500" });
  await until("the call is made", () => standIn.seen.length === 1);
  const { leased_at, lease_expires_at } = await task(id);
  program.child.kill("SIGTERM");
  await program.exit;
  await standIn.close();
  assert.equal(lease_expires_at - leased_at, 30_000);
});

test("KINDS: others are left alone; one that is not there is named", async () => {
  await db.query(`select maintenance.set_kind('echo_too', 'Say a word.',
    '{"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}',
    'public.echo_subjects', 'public.echo_prepare', 'public.echo_apply')`);
  const mine = await enqueue("mine");
  await db.query("select maintenance.enqueue_task('echo_too', 'not mine')");
  const { code, asked } = await run({ KINDS: "echo" });
  assert.deepEqual([code, asked, (await task(mine)).state], [0, 1, "succeeded"]);
  const both = await run({ KINDS: " echo_too,echo " });
  assert.deepEqual([both.code, both.asked], [0, 1]);
  const none = await run({ KINDS: "echoes" });
  assert.equal(none.code, 1);
  assert.match(none.output, /there is no kind \\"echoes\\"; There are: .*echo, echo_too/);
});

test("REQUEST_TIMEOUT_MS ends a call before the model's own time", async () => {
  const standIn = await startStandIn(() => "hang headers");
  const id = await enqueue("too slow");
  const program = startProgram(standIn.url, { REQUEST_TIMEOUT_MS: "1000" });
  await until("it is given up", async () => (await task(id)).last_class === "transient");
  program.child.kill("SIGTERM");
  await program.exit;
  await standIn.close();
  assert.match(
    (await task(id)).last_error,
    /^no answer within 1 seconds: POST 127.0.0.1:\d+, gemini-/,
  );
});

test("LOG_LEVEL=debug shows claims, requests by their size, and waits", async () => {
  await enqueue("debugged");
  const standIn = await startStandIn(() => word);
  const program = startProgram(standIn.url, { LOG_LEVEL: "debug" });
  await until("it waits for more", () => /"in_flight":0,"msg":"waiting"/.test(program.output()));
  program.child.kill("SIGTERM");
  await program.exit;
  await standIn.close();
  const output = program.output();
  assert.match(output, /"level":20.*"free":4,"claimed":1,"msg":"claimed"/);
  assert.match(
    output,
    /"model":"gemini-.*","characters":8,"wait_ms":0,"timeout_ms":60000,"msg":"asking"/,
  );
  assert.match(
    output,
    /"result":"answered","promptTokenCount":\d+.*"durationMs":\d+,"msg":"asked"/,
  );
  assert(!output.includes("debugged"));
});
