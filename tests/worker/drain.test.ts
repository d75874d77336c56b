// Blobs go from their store by the real loop, S0-23: whatever the store and Postgres do meanwhile, no entry is lost.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Writable } from "node:stream";
import { after, before, beforeEach, test } from "node:test";
import { DatabaseError } from "pg";
import { pino } from "pino";
import { openStore, type Store } from "../../edge-worker/blobs.ts";
import { type DrainOptions, drain } from "../../edge-worker/drain.ts";
import { type Blob, openQueue } from "../../edge-worker/queue.ts";
import { account, credentials, place, type S3Reply, startS3 } from "./s3.ts";
import {
  databaseUrl,
  db,
  disconnected,
  forget,
  gate,
  quiet,
  setUp,
  startProgram,
  until,
} from "./setup.ts";
import { startStandIn } from "./stand-in.ts";

before(setUp);
after(() => db.end());
beforeEach(async () => {
  await forget();
  await db.query("delete from public.attachments; delete from maintenance.blob");
});

const never = new AbortController().signal;

/** Rows that name blobs come and go, so that these are due. */
async function due(...urls: string[]) {
  await db.query("insert into public.attachments (blob_url) select unnest($1::text[])", [urls]);
  await db.query("delete from public.attachments where blob_url = any ($1)", [urls]);
}

async function outbox(): Promise<Record<string, unknown>[]> {
  return (
    await db.query(
      "select url, state, attempts, defers, last_error from maintenance.blob order by url",
    )
  ).rows;
}

/** Drains once, in this process, with the rights of a worker. */
async function drainOnce(store: Store, more: Partial<DrainOptions> = {}) {
  const queue = openQueue([[databaseUrl]], 4);
  const result = await drain({
    queue,
    store,
    log: quiet,
    name: "test",
    concurrency: 4,
    pollMs: 50,
    leaseMs: 60_000,
    graceMs: 8000,
    once: true,
    stop: never,
    ...more,
  });
  await queue.end();
  return result;
}

test("a folder: blobs of rows that have gone go, those of rows that stand stay", async () => {
  const { folder } = place();
  await due("a.png", "/u1/b.png", "u1/deep/c d.png", "u1/100%.png", "u1/never.png");
  await db.query("insert into public.attachments (blob_url) values ('/u1/b.png')");
  const { failed } = await drainOnce(await openStore({ store: folder }));
  assert.equal(failed, false);
  assert.deepEqual(readdirSync(folder, { recursive: true }).sort(), ["u1", "u1/b.png", "u1/deep"]);
  assert.deepEqual(await outbox(), [], "gone already counts as done");
});

test("a folder that is gone, or another one in its place, loses no entry", async () => {
  const { around, folder } = place();
  const store = await openStore({ store: folder });
  renameSync(folder, join(around, "elsewhere"));
  await due("a.png");
  assert.equal((await drainOnce(store)).failed, true);
  assert.deepEqual(await outbox(), [
    {
      url: "a.png",
      state: "ready",
      attempts: 0,
      defers: 1,
      last_error: "the folder is not there, or another one",
    },
  ]);
  mkdirSync(folder);
  assert.equal(
    (await store.delete("a.png", never)).outcome,
    "defer",
    "an empty mount point is another folder",
  );
  rmSync(folder, { recursive: true });
  renameSync(join(around, "elsewhere"), folder);
  await db.query("select maintenance.retry_blobs()");
  assert.equal((await drainOnce(store)).failed, false);
  assert.equal(existsSync(join(folder, "a.png")), false);
  await assert.rejects(openStore({ store: join(folder, "nowhere") }), /is no folder/);
  await assert.rejects(openStore({ store: join(folder, "u1", "b.png") }), /is no folder/);
  await assert.rejects(openStore({ store: "/" }), /is the root/);
});

test("a store that is down is left alone, and one that hangs is not waited for", async () => {
  let mood: S3Reply = { status: 503, code: "SlowDown" };
  const left = new Set(Array.from({ length: 30 }, (_, nr) => `b${nr}`));
  const s3 = await startS3(
    (key) => left.delete(key),
    () => mood,
  );
  const store = await openStore({ store: s3.url, credentials });
  const states = async () =>
    (await outbox()).map((row) => `${row["state"]} ${row["attempts"]} ${row["defers"]}`);
  await due(...left);
  assert.equal((await drainOnce(store)).failed, true);
  const tried = s3.seen.length;
  assert(tried >= 20 && tried <= 24, "the others are not tried for nothing");
  assert.deepEqual((await states()).sort(), [
    ...Array(30 - tried).fill("ready 0 0"),
    ...Array(tried).fill("ready 0 1"),
  ]);
  mood = "hang";
  await db.query("select maintenance.retry_blobs()");
  assert.equal((await drainOnce(store, { leaseMs: 1000 })).failed, true);
  await db.query("update maintenance.blob set lease_expires_at = now() where state = 'leased'");
  mood = "delete and reset";
  await db.query("select maintenance.retry_blobs()");
  await drainOnce(store);
  assert.equal((await outbox()).length, 30, "an answer that is lost loses no entry");
  assert(
    left.size <= 10 && (await states()).includes("leased 1 0"),
    "and its name is guarded for as long as the lease",
  );
  const taken = (await outbox()).find((row) => row["state"] === "leased")?.["url"];
  await assert.rejects(db.query("insert into public.attachments (blob_url) values ($1)", [taken]), {
    code: "PM028",
  });
  await db.query("update maintenance.blob set lease_expires_at = now() where state = 'leased'");
  await db.query("insert into public.attachments (blob_url) values ($1)", [taken]);
  mood = "delete";
  // Those whose lease has ended are put off; now.
  for (let round = 0; round < 2; round += 1) {
    assert.equal((await drainOnce(store)).failed, false);
    await db.query("select maintenance.retry_blobs()");
  }
  assert.deepEqual([left.size, await outbox()], [0, []]);
  assert.match((await states()).join(), /^$/);
  await s3.close();
});

test("a few that are forbidden, or hang, keep none of the others", async () => {
  const opened = gate();
  const done: string[] = [];
  const store: Store = {
    async delete(url) {
      if (url.startsWith("forbidden")) return { outcome: "defer", message: "403" };
      if (url.startsWith("slow")) await opened.opened;
      else done.push(url);
      if (done.length === 8) opened.open();
      return { outcome: "deleted" };
    },
  };
  const forbidden = Array.from({ length: 15 }, (_, nr) => `forbidden${nr}`);
  const good = Array.from({ length: 8 }, (_, nr) => `good${nr}`);
  await due(...forbidden, "slow1", "slow2", "slow3", ...good);
  await drainOnce(store);
  assert.equal(done.length, 8);
  assert.deepEqual(
    (await outbox()).map((row) => row["url"]),
    forbidden.sort(),
  );
});

test("a blob of its own fault waits and dies, and holds up no other", async () => {
  const s3 = await startS3(
    () => {},
    (key) => (key === "locked" ? { status: 409, code: "ObjectLocked" } : "delete"),
  );
  const store = await openStore({ store: s3.url, credentials });
  await due("locked", "https://elsewhere/x", "fine");
  assert.equal((await drainOnce(store)).failed, false);
  assert.deepEqual(
    (await outbox()).map((row) => [row["url"], row["state"], row["attempts"]]),
    [
      ["https://elsewhere/x", "dead", 1],
      ["locked", "ready", 1],
    ],
  );
  await s3.close();
});

test("a store that is back is used at once", async () => {
  let asked = 0;
  const store: Store = {
    async delete() {
      asked += 1;
      return asked <= 22 ? { outcome: "defer", message: "503" } : { outcome: "deleted" };
    },
  };
  await due(...Array.from({ length: 60 }, (_, nr) => `b${nr}`));
  const stop = new AbortController();
  const drained = drainOnce(store, { once: false, pollMs: 3_600_000, stop: stop.signal });
  await until("all others are deleted", async () => (await outbox()).length === 22);
  stop.abort();
  await drained;
  assert.equal(asked, 60);
});

/** A queue that hands out one blob, and fails as it is told. */
function toyQueue(settle: (tries: number) => void) {
  const blob: Blob = { blob_id: "1", url: "a", lease_token: "t", attempt: 1 };
  const told: string[] = [];
  let claims = 0;
  let tries = 0;
  return {
    told,
    claimBlobs: async () => (claims++ === 0 ? [blob] : []),
    settleBlob: async (_blob: Blob, outcome: string) => {
      settle(++tries);
      told.push(outcome);
      return { state: outcome };
    },
  };
}

test("a word to Postgres is repeated until it is taken, or the lease is over", async () => {
  const store: Store = { delete: async () => ({ outcome: "deleted" }) };
  const lost = Object.assign(new Error("connection lost"), { code: "ECONNRESET" });
  const later = toyQueue((tries) => {
    if (tries < 3) throw lost;
  });
  assert.equal((await drainOnce(store, { queue: later })).failed, false);
  assert.deepEqual(later.told, ["deleted"]);
  const gone = toyQueue(() => {
    throw Object.assign(new Error(), { code: "PM014" });
  });
  assert.equal((await drainOnce(store, { queue: gone })).failed, false);
  const down = toyQueue(() => {
    throw lost;
  });
  assert.equal(
    (await drainOnce(store, { queue: down, leaseMs: 1000 })).failed,
    true,
    "left to its lease",
  );
});

test("who was kept from a blob for half its lease does not delete it", async () => {
  let deleted = 0;
  const store: Store = {
    delete: async () => {
      deleted += 1;
      return { outcome: "deleted" };
    },
  };
  const queue = toyQueue(() => {});
  const { claimBlobs } = queue;
  queue.claimBlobs = async () => {
    await new Promise((resolve) => setTimeout(resolve, 120));
    return claimBlobs();
  };
  await drainOnce(store, { queue, leaseMs: 200 });
  assert.deepEqual([deleted, queue.told], [0, ["released"]]);
});

test("who is told to stop begins nothing, and ends in time", async () => {
  const asked: string[] = [];
  const store: Store = {
    delete: (url) => {
      asked.push(url);
      return new Promise(() => {}); // a file system that hangs
    },
  };
  const stop = new AbortController();
  stop.abort();
  const told = toyQueue(() => {});
  await drainOnce(store, { queue: told, once: false, stop: stop.signal });
  assert.deepEqual([asked, told.told], [[], []]);

  const late = new AbortController();
  const queue = toyQueue(() => {});
  const { claimBlobs } = queue;
  queue.claimBlobs = async () => {
    late.abort();
    return claimBlobs();
  };
  await drainOnce(store, { queue, once: false, stop: late.signal });
  assert.deepEqual([asked, queue.told], [[], ["released"]], "what is claimed meanwhile goes back");

  const hanging = new AbortController();
  const other = toyQueue(() => {});
  const drained = drainOnce(store, {
    queue: other,
    once: false,
    stop: hanging.signal,
    graceMs: 200,
  });
  await until("it hangs", () => asked.length === 1);
  hanging.abort();
  await drained;
  assert.deepEqual(other.told, ["unknown"]);
});

test("a claim that is refused ends a run of once, and no other", async () => {
  const store: Store = { delete: async () => ({ outcome: "deleted" }) };
  const refused = Object.assign(new DatabaseError("no right", 1, "error"), { code: "42501" });
  const queue = toyQueue(() => {});
  const { claimBlobs } = queue;
  let claims = 0;
  queue.claimBlobs = async () => {
    claims += 1;
    if (claims < 2) throw refused;
    return claimBlobs();
  };
  assert.equal((await drainOnce(store, { queue })).failed, true);
  claims = 0;
  const stop = new AbortController();
  const drained = drainOnce(store, { queue, once: false, stop: stop.signal });
  await until("it has asked again", () => queue.told.length === 1);
  stop.abort();
  assert.equal((await drained).failed, false);
});

test("npm start drains a folder; what it says names no blob", async () => {
  const { folder } = place();
  await due("a.png", "u1/b.png", "https://elsewhere/private.png");
  const model = await startStandIn();
  const program = startProgram(model.url, { BLOB_STORE: folder }, ["--once"]);
  assert.equal(await program.exit, 0, program.output());
  assert.equal(existsSync(join(folder, "a.png")), false);
  assert.match(program.output(), /"result":"deleted","state":"deleted","msg":"blob"/);
  assert.match(
    program.output(),
    /"result":"rejected","error":"it is not in the store","state":"dead"/,
  );
  assert.doesNotMatch(program.output(), /\.png/);
  await model.close();
});

test("npm start drains S3, and is stopped while it hangs", async () => {
  let mood: S3Reply = "delete";
  const removed: string[] = [];
  const s3 = await startS3(
    (key) => removed.push(key),
    () => mood,
  );
  const model = await startStandIn();
  const program = startProgram(model.url, {
    BLOB_STORE: s3.url,
    AWS_ACCESS_KEY_ID: account.id,
    AWS_SECRET_ACCESS_KEY: account.secret,
    GRACE_MS: "1000",
  });
  await due("a", "b");
  await until("both are deleted", () => removed.length === 2);
  mood = "hang";
  await due("c");
  await until("it is asked for", () => s3.seen.length === 3);
  const stopped = Date.now();
  program.child.kill("SIGTERM");
  assert.equal(await program.exit, 0, program.output());
  assert(Date.now() - stopped < 5000);
  assert.doesNotMatch(program.output(), /AKIA|EXAMPLEKEY/);
  assert.deepEqual(
    (await outbox()).map((row) => [row["url"], row["state"]]),
    [["c", "leased"]],
    "left to its lease",
  );
  await disconnected();
  await Promise.all([model.close(), s3.close()]);
});

test("without BLOB_STORE nothing is claimed; a wrong one is said at once", async () => {
  const { folder } = place();
  await due("a.png");
  const model = await startStandIn();
  assert.equal(await startProgram(model.url, {}, ["--once"]).exit, 0);
  assert.equal((await outbox())[0]?.["state"], "ready");
  const wrong: [Record<string, string>, RegExp][] = [
    [{ BLOB_STORE: join(folder, "nowhere") }, /^error: BLOB_STORE is no folder that can be read$/m],
    [
      { BLOB_STORE: "s3://bucket" },
      /^error: BLOB_STORE is neither a folder nor an address that speaks S3/m,
    ],
    [{ BLOB_STORE: "https://s3.example.com" }, /^error: BLOB_STORE names no bucket/m],
    [{ BLOB_STORE: "http://example.com/bucket" }, /^error: BLOB_STORE must be an https:\/\/ URL/m],
    [
      { BLOB_STORE: "https://me:secret@example.com/bucket" },
      /^error: BLOB_STORE must not hold a user or a password/m,
    ],
    [{ BLOB_STORE: "https://example.com/bucket?x=1" }, /^error: BLOB_STORE must not hold a \?/m],
    [
      { BLOB_STORE: "https://example.com/bucket/../other" },
      /^error: BLOB_STORE must not lead upwards/m,
    ],
    [
      { BLOB_STORE: "https://example.com/b" },
      /^error: AWS_ACCESS_KEY_ID is missing, which BLOB_STORE needs\nerror: AWS_SECRET_ACCESS_KEY is missing/m,
    ],
  ];
  for (const [env, message] of wrong) {
    const program = startProgram(model.url, env, ["--once"]);
    assert.equal(await program.exit, 1);
    assert.match(program.output(), message);
    assert.doesNotMatch(program.output(), /secret@/);
  }
  await model.close();
});

test("the log of a drain tells of each blob by its number", async () => {
  const lines: string[] = [];
  const log = pino(
    { level: "info" },
    new Writable({
      write(chunk, _encoding, done) {
        lines.push(String(chunk));
        done();
      },
    }),
  );
  const counted: string[] = [];
  const store: Store = { delete: async () => ({ outcome: "gone" }) };
  await drainOnce(store, {
    queue: toyQueue(() => {}),
    log,
    deleted: (result) => counted.push(result),
  });
  assert.equal(JSON.parse(lines[0] ?? "{}").blob_id, "1");
  assert.deepEqual(counted, ["gone"]);
});
