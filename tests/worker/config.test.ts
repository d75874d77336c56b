// The worker's environment: every fault is named at once, and no value is ever shown.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { parseConfig } from "../../edge-worker/config.ts";

const good = { DATABASE_URL: "postgres://w:pw@localhost/db", GEMINI_API_KEY: "k" };

/** Runs the program in a folder of its own with nothing but these variables. */
async function run(env: Record<string, string>, args = ["--once"], dotenv = "") {
  const folder = await mkdtemp(join(tmpdir(), "worker-"));
  if (dotenv) await writeFile(join(folder, ".env"), dotenv);
  const tsx = import.meta.resolve("tsx");
  const child = spawn("node", ["--import", tsx, resolve("edge-worker/main.ts"), ...args], {
    cwd: folder,
    env: { PATH: process.env["PATH"] ?? "", ...env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 60_000,
  });
  let output = "";
  child.stdout.on("data", (chunk) => (output += chunk));
  child.stderr.on("data", (chunk) => (output += chunk));
  const code = await new Promise<number | null>((done) => child.on("close", done));
  return { code, output };
}

test("two variables are enough", () => {
  const { config } = parseConfig(good);
  assert.deepEqual(
    [config?.CONCURRENCY, config?.POLL_INTERVAL_MS, config?.LOG_LEVEL, config?.GEMINI_BASE_URL],
    [4, 5000, "info", undefined],
  );
});

test("a base URL ends before the version, however it is written", () => {
  const base = (url: string) => parseConfig({ ...good, GEMINI_BASE_URL: url });
  for (const url of [
    "https://example.org",
    "https://example.org/",
    "https://example.org/v1beta",
    "https://example.org/v1beta/",
    " https://example.org// ",
  ]) {
    assert.equal(base(url).config?.GEMINI_BASE_URL, "https://example.org", url);
  }
  assert.equal(
    base("https://example.org/gateway/v1beta/").config?.GEMINI_BASE_URL,
    "https://example.org/gateway",
  );
  for (const url of [
    "https://example.org/v1",
    "https://example.org/v1alpha",
    "https://example.org/?",
    "https://example.org/#",
    "https://example.org/v1beta/models/gemini-3:generateContent",
    "https://me:S3cret@example.org",
    "https://example.org?key=S3cret",
    "https://example.org#x",
    "example.org",
  ]) {
    const { faults } = base(url);
    assert.equal(faults.length, 1, url);
    assert.match(faults[0] ?? "", /^GEMINI_BASE_URL (must|is no URL)/);
    assert(!faults[0]?.includes("S3cret"));
  }
});

test("whole numbers are decimal", () => {
  for (const text of ["0x10", "1e2", "4.0", "-1", "+4", "four", "257"]) {
    const { faults } = parseConfig({ ...good, CONCURRENCY: text });
    assert.deepEqual(faults, ["CONCURRENCY must be a whole number from 1 to 256"], text);
  }
});

test("certificates are checked, but for a model on this machine", () => {
  const env = { ...good, NODE_TLS_REJECT_UNAUTHORIZED: "0" };
  for (const url of ["", "https://example.org"]) {
    const { faults } = parseConfig({ ...env, GEMINI_BASE_URL: url });
    assert.match(faults.join(), /^NODE_TLS_REJECT_UNAUTHORIZED=0 gives keys and passwords to/);
  }
  const local = { ...env, GEMINI_BASE_URL: "https://localhost:1" };
  assert(parseConfig(local).config);
  const verified = "postgres://u@h/db?sslmode=verify-full";
  assert.equal(parseConfig({ ...local, DATABASE_URL: verified }).config, null);
});

/** How a connection is named to the driver, in the order in which they are tried. */
const connections = (url: string, env: Record<string, string> = {}) =>
  parseConfig({ ...good, ...env, DATABASE_URL: url })
    .config?.DATABASE_URL.flat()
    .map((one) => one.replace("&uselibpqcompat=true", ""));

test("a database's URL means what it means to psql", () => {
  assert.deepEqual(connections("postgres://u:p%40@h1:5432,h2/db?sslmode=require"), [
    "postgres://u:p%40@h1:5432/db?sslmode=require",
    "postgres://u:p%40@h2/db?sslmode=require",
  ]);
  assert.deepEqual(connections("postgresql://u@h/db"), [
    "postgresql://u@h/db?sslmode=require",
    "postgresql://u@h/db?sslmode=disable",
  ]);
  assert.deepEqual(connections("postgres://u@h/db", { PGSSLMODE: "disable" }), [
    "postgres://u@h/db?sslmode=disable",
  ]);
  for (const query of ["ssl=true", "sslmode=disable&sslmode=require", "keepalives=1"]) {
    const url = `postgres://u@h/db?${query}`;
    const expected = query === "keepalives=1" ? ["require", "disable"] : ["require"];
    assert.deepEqual(
      connections(url),
      expected.map((mode) => `postgres://u@h/db?sslmode=${mode}`),
    );
  }
  assert.deepEqual(connections("postgres://u@[::1]:5433,[fe80::1]/db?sslmode=disable"), [
    "postgres://u@[::1]:5433/db?sslmode=disable",
    "postgres://u@[fe80::1]/db?sslmode=disable",
  ]);
  for (const url of [
    "postgres://u@/db?host=/var/run/postgresql",
    "postgres://u@%2Fvar%2Frun%2Fpostgresql/db",
  ]) {
    assert.equal(connections(url)?.length, 1, url);
    assert.match(connections(url)?.[0] ?? "", /sslmode=disable/);
  }
  assert.deepEqual(connections("postgres://u@h/db?sslmode=verify-full&sslrootcert=system"), [
    "postgres://u@h/db?sslmode=verify-full",
  ]);
});

test("what the driver cannot do is refused with the reason", () => {
  for (const [url, reason] of [
    ["postgres://u@/db", /names no host; a socket/],
    ["postgres://u@h1/db?host=h1,h2", /several servers behind \?host=/],
    ["postgres://u@h1,h2/db?port=1,2", /several servers behind \?port=/],
    ["postgres://u@h/db?target_session_attrs=standby", /asks for target_session_attrs/],
    ["postgres://u@h/db?channel_binding=require", /asks for channel_binding/],
    ["postgres://u@h/db?hostaddr=127.0.0.1", /asks for hostaddr/],
    ["postgres://u@h/db?statement_timeout=5", /asks for statement_timeout/],
    ["postgres://u@h/db?S3cret-not-a-name=5", /asks for something/],
    ["'postgres://u@h/db'", /stands in quotes/],
    ["postgres://u@h:99999/db", /host or a port/],
    ["postgres://u@h/db?sslmode=on", /unknown sslmode/],
    ["postgres://u@h:port/db", /host or a port/],
    ["postgres://u@::1/db", /host or a port/],
    ["host=h dbname=db", /is no URL like postgres/],
    ["mysql://u@h/db", /is no URL like postgres/],
  ] as const) {
    const { faults } = parseConfig({ ...good, DATABASE_URL: url });
    assert.equal(faults.length, 1, url);
    assert.match(faults[0] ?? "", reason);
  }
});

test("a database is named by its URL, and not by the user's name", () => {
  for (const url of [
    "postgres://u:p@h:5432",
    "postgres://u:p@h/",
    "postgres://u:p@h?sslmode=disable",
  ]) {
    const { faults } = parseConfig({ ...good, DATABASE_URL: url });
    assert.deepEqual(faults, [
      "DATABASE_URL names no database: postgres://user:password@host:5432/database",
    ]);
  }
});

test("a blank variable is none", () => {
  assert.equal(parseConfig({ ...good, CONCURRENCY: "", HEALTH_PORT: " " }).config?.CONCURRENCY, 4);
});

test("every fault is named at once", () => {
  const { faults } = parseConfig({
    GEMINI_API_KEY: "two words",
    GEMINI_BASE_URL: "http://example.org",
    CONCURRENCY: "many",
    POLL_INTERVAL_MS: "1.5",
    KINDS: "One, Two",
    LEASE_MS: "1",
    REQUEST_TIMEOUT_MS: "a while",
    GRACE_MS: "0",
    LOG_LEVEL: "loud",
    HEALTH_PORT: "99999",
    HEALTH_HOST: "a b",
  });
  assert.deepEqual(
    faults.map((fault) => fault.split(" ")[0]),
    "DATABASE_URL GEMINI_API_KEY GEMINI_BASE_URL CONCURRENCY POLL_INTERVAL_MS KINDS LEASE_MS REQUEST_TIMEOUT_MS GRACE_MS LOG_LEVEL HEALTH_PORT HEALTH_HOST".split(
      " ",
    ),
  );
});

test("a base URL is https, or on this machine", () => {
  for (const url of [
    "https://example.org",
    "http://127.0.0.1:1",
    "http://localhost:1",
    "http://[::1]:1",
  ]) {
    assert(parseConfig({ ...good, GEMINI_BASE_URL: url }).config, url);
  }
  for (const url of ["http://10.0.0.1", "http://localhost.example.org", "ftp://localhost", "x"]) {
    assert.equal(parseConfig({ ...good, GEMINI_BASE_URL: url }).config, null, url);
  }
});

for (const url of [
  "postgres://w:S3cr#t/x@localhost/db",
  "postgres://w:S3cr%t@localhost/db",
  "postgres://w:S3cr t@localhost:notaport/db",
]) {
  test(`C-030: ${url.replace("S3cr", "…")} is refused, and not shown`, async () => {
    const { code, output } = await run({ ...good, DATABASE_URL: url, LOG_LEVEL: "trace" });
    assert.equal(code, 1);
    assert.match(output, /^error: DATABASE_URL .*percent-encode/);
    assert(!output.includes("S3cr"));
    assert(!/ at .*:\d+:\d+/.test(output), "no stack");
  });
}

test("C-029: a refused connection says host and port, and ends --once in bounded time", async () => {
  const { code, output } = await run({
    ...good,
    DATABASE_URL: "postgres://w:S3cret@localhost:59999/db",
  });
  assert.equal(code, 1);
  assert.match(output, /ECONNREFUSED .*:59999/);
  assert(!output.includes("S3cret"));
  assert(!/ at .*:\d+:\d+/.test(output), "no stack");
});

test("what the environment does not say is read from .env", async () => {
  const { code, output } = await run(
    { GEMINI_API_KEY: "k" },
    ["--once"],
    "DATABASE_URL=postgres://w:pw@127.0.0.1:59997/db\n",
  );
  assert.equal(code, 1);
  assert.match(output, /ECONNREFUSED 127.0.0.1:59997/);
});

test("an unknown option is refused in words", async () => {
  const { code, output } = await run(good, ["--twice"]);
  assert.equal(code, 1);
  assert.match(output, /error: .*--twice/);
  assert(!/ at .*:\d+:\d+/.test(output), "no stack");
});
