// What the worker's tests share: a database of their own, a toy kind made of SQL alone, a worker.
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import { pino } from "pino";
import { type Model, openGemini } from "../../edge-worker/gemini.ts";
import { openQueue } from "../../edge-worker/queue.ts";
import { startWorker, type WorkerOptions } from "../../edge-worker/worker.ts";

const url = process.env["TEST_DATABASE_URL"];
assert(url, "TEST_DATABASE_URL is not set: run make test, or make try");

// What follows deletes rows: only in a database that was made for tests.
const database = new URL(url).pathname.slice(1);
assert.match(database, /^(test|try|bench|maintenance_test_\d+)_/, "not a database of the tests");

/** The owner's connection, to arrange and to look. */
export const db = new Client({ connectionString: url });

// The worker comes as a login of its own, with the rights of maintenance_worker and no other.
export const login = { user: `${database}_login`, password: randomUUID() };
const workerUrl = new URL(url);
workerUrl.username = login.user;
workerUrl.password = login.password;
export const databaseUrl = workerUrl.href;

/**
 * Connects, and makes the kind "echo": its content is the subject, its answer goes into a table.
 */
export async function setUp() {
  await db.connect();
  await db.query(`
    do $$ begin
      if to_regrole('${login.user}') is null then create role ${login.user} login; end if;
    end $$;
    alter role ${login.user} password '${login.password}';
    grant maintenance_worker to ${login.user};
    grant ${login.user} to current_user;
    create table if not exists public.echo (
      subject text, word text, at timestamptz default clock_timestamp());
    create or replace function public.echo_subjects() returns setof text language sql stable
    begin atomic select null::text where false; end;
    create or replace function public.echo_prepare(subject text, options jsonb)
    returns table (content text, context jsonb, input_hash text, skip_reason text)
    language sql stable return (subject, '{}'::jsonb, subject, null::text);
    create or replace function public.echo_apply(subject text, context jsonb, answer jsonb, options jsonb)
    returns jsonb language sql
    begin atomic
      insert into public.echo (subject, word) values (subject, answer ->> 'word');
      select '{"echoed": true}'::jsonb;
    end;
    select maintenance.set_kind('echo', 'Say a word.',
      '{"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}',
      'public.echo_subjects', 'public.echo_prepare', 'public.echo_apply', max_attempts => 3);
  `);
}

export async function enqueue(subject: string): Promise<string> {
  const { rows } = await db.query("select maintenance.enqueue_task('echo', $1)::text as id", [
    subject,
  ]);
  return rows[0].id;
}

export async function task(id: string) {
  const { rows } = await db.query("select * from maintenance.task where task_id = $1", [id]);
  return rows[0];
}

export async function words(subject: string): Promise<string[]> {
  const { rows } = await db.query("select word from public.echo where subject = $1 order by at", [
    subject,
  ]);
  return rows.map((row) => row.word);
}

/** Waits until a condition holds, and fails after a while. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  mostMs = 30_000,
) {
  const deadline = Date.now() + mostMs;
  while (!(await condition())) {
    assert(Date.now() < deadline, `waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Waits until Postgres has noticed that a killed worker's connections are gone. */
export async function disconnected() {
  await until("the connections are gone", async () => {
    const { rows } = await db.query(
      "select count(*)::integer as n from pg_stat_activity where usename = $1 and datname = current_database()",
      [login.user],
    );
    return rows[0].n === 0;
  });
}

/** A wait of others that is over when it is opened. */
export function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open: () => open(), opened };
}

export const quiet = pino({ level: "silent" });

/** Takes everything away that earlier tests have taught the queue. */
export async function forget() {
  await db.query(`
    delete from maintenance.task;
    delete from maintenance_internal.subject;
    delete from maintenance.model_call;
    delete from maintenance.model_day;
    delete from maintenance_internal.cool_down;
    delete from maintenance_internal.model_usage;
    delete from maintenance_internal.model_pace;
  `);
}

/** Runs a worker in this process until nothing is due, or has it stop after its first call. */
export async function runOnce(
  baseUrl: string,
  more: Partial<WorkerOptions> & {
    timeoutMs?: number;
    oneCall?: boolean;
    apiKey?: string;
    databaseUrl?: string;
  } = {},
) {
  const { timeoutMs, oneCall, apiKey = "test-key", ...options } = more;
  const queue = openQueue([[more.databaseUrl ?? databaseUrl]], 4);
  const gemini = openGemini({ apiKey, baseUrl });
  const stop = new AbortController();
  const model: Model = {
    ask(request, signal) {
      if (oneCall) stop.abort();
      return gemini.ask({ ...request, timeout_ms: timeoutMs ?? request.timeout_ms }, signal);
    },
  };
  const worker = startWorker({
    queue,
    model,
    log: quiet,
    name: "test",
    concurrency: oneCall ? 1 : 4,
    pollMs: 50,
    leaseMs: 120_000,
    graceMs: 8000,
    once: true,
    stop: stop.signal,
    ...options,
  });
  await worker.done;
  await queue.end();
  return worker.state;
}

export type Running = { child: ChildProcess; output: () => string; exit: Promise<number | null> };

// What a failed test has left behind is in nobody's way.
const programs = new Set<ChildProcess>();
function killPrograms() {
  for (const program of programs) program.kill("SIGKILL");
  programs.clear();
}
process.on("exit", killPrograms);
if (process.env["NODE_TEST_CONTEXT"]) (await import("node:test")).afterEach(killPrograms);

/** A pipe that is open, and that nobody reads: what is written stays there until it is full. */
function pipeWithoutReader(): number {
  const folder = mkdtempSync(join(tmpdir(), "pipe-"));
  execFileSync("mkfifo", [join(folder, "pipe")]);
  const pipe = openSync(join(folder, "pipe"), "r+");
  rmSync(folder, { recursive: true });
  return pipe;
}

/** Starts the real program, as npm start does; another command, elsewhere, or with nobody to read it. */
export function startProgram(
  baseUrl: string,
  env: Record<string, string> = {},
  args: string[] = [],
  options: { command?: string[]; folder?: string; isRead?: boolean } = {},
): Running {
  const { command = ["node", "--import", "tsx", "edge-worker/main.ts"], isRead = true } = options;
  const [program = "", ...before] = command;
  const child = spawn(program, [...before, ...args], {
    cwd: options.folder ?? ".",
    env: {
      PATH: process.env["PATH"] ?? "",
      DATABASE_URL: databaseUrl,
      GEMINI_API_KEY: "test-key",
      GEMINI_BASE_URL: baseUrl,
      POLL_INTERVAL_MS: "100",
      ...env,
    },
    stdio: ["ignore", isRead ? "pipe" : pipeWithoutReader(), "pipe"],
  });
  programs.add(child);
  let output = "";
  child.stdout?.on("data", (chunk) => (output += chunk));
  child.stderr?.on("data", (chunk) => (output += chunk));
  return {
    child,
    output: () => output,
    // When all that it has said is here.
    exit: new Promise((resolve) => child.on("close", (code) => resolve(code))),
  };
}
