// What a store deletes, and what it says: a folder, and what speaks S3. Nothing that lies outside of it goes, and no
// name and no secret is told.
import assert from "node:assert/strict";
import { existsSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type Deletion, openStore } from "../../edge-worker/blobs.ts";
import { account, credentials, place, refusalOf, type S3Reply, startS3 } from "./s3.ts";

const never = new AbortController().signal;

test("nothing outside of a folder, and nothing through a link", async () => {
  const { around, folder } = place();
  symlinkSync(join(around, "secret"), join(folder, "link"));
  symlinkSync(around, join(folder, "out"));
  symlinkSync("u1", join(folder, "in"));
  const refused = [
    "../secret",
    "u1/../../secret",
    "/../secret",
    `${folder}/../secret`,
    `file://${folder}/../secret`,
    "link",
    "out/secret",
    "in/b.png",
    "u1",
    "u1/",
    "",
    "/",
    ".",
    "u1//b.png",
    "u1/./b.png",
    "a.png\n",
    "file:///etc/passwd",
    "https://elsewhere/a.png",
    "s3://b/a.png",
    `https://cdn/u1/%2e%2e/%2E./secret`,
    "https://cdn/u1%2f..%2f..%2fsecret",
    "https://cdn/",
    "https://cdn",
    "https://cdn/%",
    "https://cdn.evil/a.png",
    "https://cdn/../a.png",
    "https://cdn/a.png?version=2",
    "https://cdn/a.png#top",
    "https://cdn/a%2Epng",
    "https://CDN/a.png",
  ];
  const store = await openStore({ store: folder, prefix: "https://cdn/" });
  const all = readdirSync(around, { recursive: true });
  for (const url of refused) {
    assert.equal((await store.delete(url, never)).outcome, "rejected", url);
  }
  assert.deepEqual(readdirSync(around, { recursive: true }), all);
  assert.equal(existsSync(join(around, "secret")), true);
  assert.equal((await store.delete("https://cdn/u1/deep/c%20d.png", never)).outcome, "deleted");
  assert.equal((await store.delete("u1/100%.png", never)).outcome, "deleted");
  writeFileSync(join(folder, "e.png"), "x");
  assert.equal(
    (await store.delete(join(folder, "e.png"), never)).outcome,
    "deleted",
    "by its path",
  );
  writeFileSync(join(folder, "e.png"), "x");
  assert.equal((await store.delete(`file://${folder}/e.png`, never)).outcome, "deleted");
  const long = `u1/${"x".repeat(300)}`;
  assert.equal(
    (await store.delete(long, never)).outcome,
    "rejected",
    "no name that a file may have",
  );
  assert.equal((await store.delete("a.png/b", never)).outcome, "rejected", "below a file");
  const byUrl = await openStore({ store: `file://${folder}` });
  writeFileSync(join(folder, "e.png"), "x");
  assert.equal((await byUrl.delete("e.png", never)).outcome, "deleted");
  const root = await openStore({ store: folder, prefix: "/" });
  writeFileSync(join(folder, "e.png"), "x");
  assert.equal((await root.delete("/e.png", never)).outcome, "deleted", "all paths begin so");
  const paths = await openStore({ store: folder, prefix: "/uploads" });
  assert.equal((await paths.delete("/uploads/u1/b.png", never)).outcome, "deleted");
  writeFileSync(join(folder, "e.png"), "x");
  assert.equal(
    (await paths.delete("uploads/e.png", never)).outcome,
    "deleted",
    "as Postgres has it",
  );
  assert.equal(
    (await paths.delete("/a.png", never)).outcome,
    "rejected",
    "paths have a prefix there",
  );
});

test("the stand-in checks signatures as the documentation of S3 has them", () => {
  const request = {
    method: "GET",
    url: "/test.txt",
    headers: {
      host: "examplebucket.s3.amazonaws.com",
      range: "bytes=0-9",
      "x-amz-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "x-amz-date": "20130524T000000Z",
      authorization:
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    },
  };
  const now = Date.UTC(2013, 4, 24);
  assert.equal(refusalOf(request, account.secret, now), undefined);
  assert.equal(refusalOf(request, account.secret, now + 16 * 60_000), "RequestTimeTooSkewed");
  assert.equal(
    refusalOf({ ...request, url: "/test.tx" }, account.secret, now),
    "SignatureDoesNotMatch",
  );
  assert.equal(
    refusalOf({ ...request, method: "DELETE" }, account.secret, now),
    "SignatureDoesNotMatch",
  );
  assert.equal(refusalOf(request, "another", now), "SignatureDoesNotMatch");
  assert.equal(
    refusalOf({ ...request, headers: { host: "h" } }, account.secret, now),
    "AccessDenied",
  );
});

test("S3: each key is asked for as it is, signed, and nothing else is", async () => {
  const removed: string[] = [];
  const s3 = await startS3(
    (key) => removed.push(key),
    () => "delete",
    { token: "a/token+of=time", region: "eu-central-1" },
  );
  const store = await openStore({
    store: `${s3.url}/pre`,
    prefix: "s3://bucket/pre",
    credentials: { ...credentials, sessionToken: "a/token+of=time" },
    region: "eu-central-1",
  });
  const keys = ["a.png", "u 1/ü+&=?#%41 (1)!'*~.png", 'deep/er/$@:,;[]{}|^`"<>\\.txt', "…/🌍"];
  for (const key of keys) {
    const whole = `${s3.url}/pre/${key.split("/").map(encodeURIComponent).join("/")}`;
    for (const url of [key, `/${key}`, `s3://bucket/pre/${key}`, whole]) {
      removed.length = 0;
      assert.deepEqual(await store.delete(url, never), { outcome: "deleted" }, url);
      assert.deepEqual(removed, [`pre/${key}`], url);
    }
  }
  const before = s3.seen.length;
  const refused = [
    "",
    "/",
    ".",
    "..",
    "../x",
    "a/../../x",
    `${s3.url}/pre`,
    `${s3.url}/pre/`,
    `${s3.url}/pre/%2e%2e/x`,
    `${s3.url}/x`,
    `${s3.url}/pre/..%2fx`,
    `${s3.url}/pre/a//b`,
    `${s3.url}/prefix`,
    `${s3.url}/pre/a.png?versionId=7`,
    `${s3.url}/pre/%61.png`,
    "s3://other/pre/x",
    "https://elsewhere/pre/x",
    "a\0b",
  ];
  for (const url of refused)
    assert.equal((await store.delete(url, never)).outcome, "rejected", url);
  assert.equal(s3.seen.length, before, "what is refused is not asked for");
  await s3.close();
});

test("S3: what a store says, and does not say, loses no entry and no secret", async () => {
  const cases: [S3Reply, Deletion["outcome"], RegExp?][] = [
    [{ status: 404, code: "NoSuchKey" }, "gone"],
    [{ status: 404, code: "NoSuchBucket" }, "defer", /^404 NoSuchBucket: DELETE 127\.0\.0\.1:\d+$/],
    [
      { status: 404, body: "<html>nothing here" },
      "defer",
      /^404, without a reason: is that S3, and its bucket\?/,
    ],
    [{ status: 200, body: "<html>welcome" }, "defer", /^200, where 204 was due: is that S3\?/],
    [
      { status: 301, code: "PermanentRedirect" },
      "defer",
      /^301 PermanentRedirect, a redirect: is its region right\?/,
    ],
    [{ status: 307, location: "http://127.0.0.1:9/" }, "defer", /^307, a redirect/],
    [{ status: 400, code: "ExpiredToken" }, "defer", /^400 ExpiredToken/],
    [{ status: 403, code: "AccessDenied" }, "defer", /^403 AccessDenied/],
    [{ status: 403, code: account.id }, "defer", /^403: DELETE/],
    [{ status: 401, body: account.secret }, "defer", /^401: DELETE/],
    [{ status: 429 }, "defer", /^429: DELETE/],
    [{ status: 500, code: "InternalError" }, "defer", /^500 InternalError/],
    [{ status: 503, code: "SlowDown" }, "defer", /^503 SlowDown/],
    [{ status: 409, code: "OperationAborted" }, "transient", /^409 OperationAborted/],
    [{ status: 403, code: "ObjectLocked" }, "transient", /^403 ObjectLocked/],
    [{ status: 405, code: "MethodNotAllowed" }, "defer", /^405 MethodNotAllowed/],
    [{ status: 400, code: "Whatever" }, "defer", /^400: DELETE/],
    [{ status: 411 }, "defer", /^411: DELETE/],
    ["reset", "unknown", /^no answer \((ECONNRESET|UND_ERR_SOCKET)\): DELETE/],
    ["delete and reset", "unknown", /^no answer/],
  ];
  let nr = 0;
  const s3 = await startS3(
    () => {},
    () => (cases[nr] as (typeof cases)[number])[0],
  );
  const store = await openStore({ store: s3.url, credentials });
  for (; nr < cases.length; nr += 1) {
    const [reply, outcome, message] = cases[nr] as (typeof cases)[number];
    const said = await store.delete("private/name.png", never);
    assert.equal(said.outcome, outcome, JSON.stringify(reply));
    if (message) assert.match(said.message ?? "", message);
    assert.doesNotMatch(said.message ?? "", /private|name\.png|AKIA|EXAMPLEKEY/);
  }
  assert.equal(s3.seen.length, cases.length, "each is asked for once, and no redirect is followed");
  for (const [secretAccessKey, code] of [
    ["wrong", "SignatureDoesNotMatch"],
    ["", "SignatureDoesNotMatch"],
  ]) {
    const other = await openStore({
      store: s3.url,
      credentials: { accessKeyId: account.id, secretAccessKey: secretAccessKey ?? "" },
    });
    assert.match((await other.delete("a", never)).message ?? "", new RegExp(`^403 ${code}`));
  }
  await s3.close();
  assert.match((await store.delete("a", never)).message ?? "", /^no answer \(ECONNREFUSED\)/);
});
