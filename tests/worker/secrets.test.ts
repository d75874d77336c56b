// What the worker writes, into its log and into tables, holds no key, no prompt and no answer,
// whatever the server of the model answers; and nothing is sent to anybody else.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, beforeEach, test } from "node:test";
import { pino } from "pino";
import { db, forget, runOnce, setUp, startProgram, until, words } from "./setup.ts";
import { type Reply, type Seen, startStandIn } from "./stand-in.ts";

const key = "CANARY_KEY_D41D8CD98F00";
const prompt = "CANARY_PROMPT_RUNS_AT_DAWN";
const answer = "CANARY_ANSWER_A_MARATHON";
const canary = /canary.(key|prompt|answer)|d41d8cd9|runs.at.dawn|a.marathon/i;

before(async () => {
  await setUp();
  await db.query(`
    create or replace function public.secret_prepare(subject text, options jsonb)
    returns table (content text, context jsonb, input_hash text, skip_reason text)
    language sql stable return ('${prompt} and more'::text, '{}'::jsonb, subject, null::text);
    select maintenance.set_kind('secret', 'Say a word.',
      '{"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}',
      'public.echo_subjects', 'public.secret_prepare', 'public.echo_apply');
  `);
});
beforeEach(forget);
after(() => db.end());

/** Every row of the engine, as text. */
async function rows(): Promise<string> {
  const tables = await db.query(`
    select c.oid::regclass::text as name from pg_class as c
    where c.relkind = 'r'
      and c.relnamespace in (to_regnamespace('maintenance'), to_regnamespace('maintenance_internal'))
      and c.relname <> 'kind'`);
  let all = "";
  for (const { name } of tables.rows) {
    for (const row of (await db.query(`select t::text as row from ${name} as t`)).rows) {
      all += `${name} ${row.row}\n`;
    }
  }
  return all;
}

function assertClean(what: string, text: string) {
  const line = text.split("\n").find((part) => canary.test(part));
  assert.equal(line, undefined, `${what}: ${line}`);
}

const said = `${key} asked: ${prompt}, and was told: ${answer}`;
const failure = (status: number, word = "INVALID_ARGUMENT"): Reply => ({
  status,
  error: {
    status: word,
    message: `Consumer 'api_key:${said}' has been suspended.`,
    details: [
      { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: prompt, domain: key },
      { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: key, domain: prompt },
      { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: `KEY_${key.slice(4)}` },
      {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        violations: [
          {
            quotaId: `Generate-${prompt}PerDay`,
            quotaMetric: `x/${key.slice(3)}`,
            quotaValue: "5",
          },
          { quotaId: answer.replaceAll("_", "-"), quotaMetric: answer, quotaValue: "6" },
        ],
      },
      {
        "@type": `type.googleapis.com/${said}`,
        reason: prompt,
        domain: key,
        metadata: { containerInfo: `api_key:${key}`, consumer: prompt, [answer]: answer },
      },
      {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        violations: [
          {
            quotaId: prompt,
            quotaMetric: key,
            quotaValue: answer,
            quotaDimensions: { model: key },
          },
        ],
      },
      { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: `3s ${said}` },
      { "@type": "type.googleapis.com/google.rpc.DebugInfo", detail: said, stackEntries: [said] },
    ],
  },
});
const candidate = (more: object): Reply => ({
  response: {
    candidates: [{ content: { parts: [{ text: answer }] }, finishReason: "STOP", ...more }],
    usageMetadata: { promptTokenCount: 3, [key]: prompt, serviceTier: answer },
    modelVersion: said,
    responseId: said,
  },
});
const replies: Record<string, Reply> = {
  "400": failure(400),
  "400 in its status": failure(400, prompt),
  "401": failure(401, "UNAUTHENTICATED"),
  "403 of a suspended key": failure(403, "PERMISSION_DENIED"),
  "404": failure(404, "NOT_FOUND"),
  "429": failure(429, "RESOURCE_EXHAUSTED"),
  "500": failure(500, "INTERNAL"),
  "503 of a proxy": { status: 503, html: `<html>${said}</html>` },
  "a body that is no JSON": { raw: said },
  "JSON that is no response": { raw: JSON.stringify(said) },
  null: { raw: "null" },
  "an error that comes as 200": { response: { error: { message: said } } },
  "prose for an answer": candidate({}),
  "a finish reason": candidate({ finishReason: prompt }),
  "a finish reason of the answer's": candidate({ finishReason: answer }),
  "a version of the answer's": {
    response: {
      candidates: [{ content: { parts: [{ text: '{"word": "x"}' }] }, finishReason: "STOP" }],
      modelVersion: answer,
    },
  },
  "a blocked prompt, in its words": { response: { promptFeedback: { blockReason: answer } } },
  "a blocked answer": candidate({ finishReason: "SAFETY", finishMessage: said }),
  "a cut answer": candidate({ finishReason: "MAX_TOKENS" }),
  "a blocked prompt": {
    response: { promptFeedback: { blockReason: prompt, blockReasonMessage: said } },
  },
  "a value of another type": { text: JSON.stringify({ word: { [answer]: answer } }) },
  "no member": { text: JSON.stringify({ [answer]: answer }) },
  "a right answer": { text: JSON.stringify({ word: "right" }), thought: said },
};

for (const [name, reply] of Object.entries(replies)) {
  test(`${name} tells nothing`, async () => {
    const standIn = await startStandIn((): Reply => reply);
    await db.query("select maintenance.enqueue_task('secret', $1)", [name]);
    let output = "";
    const write = (line: string) => {
      output += line;
    };
    const log = pino({ level: "trace" }, { write });
    await runOnce(standIn.url, { oneCall: true, log, apiKey: key });
    await standIn.close();
    assert.equal(
      standIn.seen.length,
      1,
      JSON.stringify((await db.query("select * from maintenance.task")).rows),
    );
    assert.match(standIn.seen[0]?.content ?? "", canary, "it was asked");
    assert.match(output, /"msg":"task"/);
    assertClean("the log", output);
    assertClean("a table", await rows());
  });
}

test("a redirect's place is not told where it holds what was sent, as it is or in small letters", async () => {
  for (const host of [
    `${key}.example.org`,
    `${prompt.replaceAll("_", "-")}.org`,
    "x".repeat(200),
  ]) {
    await forget();
    const standIn = await startStandIn(
      (): Reply => ({ status: 307, location: `https://${host}/` }),
    );
    await db.query("select maintenance.enqueue_task('secret', 'redirected')");
    await runOnce(standIn.url, { oneCall: true, apiKey: key });
    await standIn.close();
    const { rows: tasks } = await db.query("select last_error from maintenance.task");
    assert.match(tasks[0].last_error, /^307, a redirect: POST /);
    assertClean("a table", await rows());
  }
});

test("what an apply says when it fails for a moment is not told", async () => {
  await db.query(`
    create or replace function public.busy_apply(subject text, context jsonb, answer jsonb, options jsonb)
    returns jsonb language plpgsql as $$
    begin raise exception 'busy: %', answer ->> 'word' using errcode = options ->> 'code'; end $$;
    select maintenance.set_kind('busy', 'Say a word.',
      '{"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}',
      'public.echo_subjects', 'public.secret_prepare', 'public.busy_apply')`);
  const standIn = await startStandIn((): Reply => ({ text: JSON.stringify({ word: answer }) }));
  for (const code of ["40001", "53100", "55P03", "57014", "22023", "P0001"]) {
    await forget();
    await db.query("select maintenance.enqueue_task('busy', $1, options => $2)", [code, { code }]);
    let output = "";
    const write = (line: string) => {
      output += line;
    };
    const stop = new AbortController();
    const log = pino({ level: "trace" }, { write });
    const running = runOnce(standIn.url, { log, stop: stop.signal, graceMs: 400 });
    await until("it has failed", () => /did not take it|"msg":"task"/.test(output));
    stop.abort();
    await running;
    assertClean("the log", output);
    assertClean("a table", await rows());
  }
  await standIn.close();
});

for (const status of [301, 302, 303, 307, 308]) {
  test(`N-013: a redirect (${status}) is not followed, and its place is named`, async () => {
    let received = "";
    const thief = createServer((request, response) => {
      received += JSON.stringify(request.headers);
      request.on("data", (chunk) => (received += chunk));
      response.end(JSON.stringify({ candidates: [{ content: { parts: [{ text: "{}" }] } }] }));
    });
    await new Promise<void>((resolve) => thief.listen(0, "127.0.0.1", resolve));
    const place = `localhost:${(thief.address() as AddressInfo).port}`;
    const standIn = await startStandIn(
      (): Reply => ({ status, location: `http://${place}/steal?${key}` }),
    );
    await db.query("select maintenance.enqueue_task('secret', 'redirected')");
    await runOnce(standIn.url, { oneCall: true, apiKey: key });
    await standIn.close();
    thief.close();
    assert.equal(received, "", "nothing came there");
    const [task] = (await db.query("select last_class, last_error, attempts from maintenance.task"))
      .rows;
    assert.equal(task.last_class, "configuration");
    assert.equal(task.attempts, 0);
    assert.match(task.last_error, new RegExp(`^${status}, a redirect to ${place}: POST `));
    assertClean("a table", await rows());
  });
}

test("a fault of its own ends it, and tells where it was, and nothing else", async () => {
  // As soon as somebody listens: before, nothing of the worker runs.
  const code = `setInterval(() => {
    if (process.listenerCount("uncaughtException") > 0) throw new Error(process.env.GEMINI_API_KEY);
  }, 5)`;
  const program = startProgram("http://127.0.0.1:1", {
    GEMINI_API_KEY: key,
    NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(code)}`,
  });
  assert.equal(await program.exit, 1);
  assert.match(program.output(), /"level":60.*"at":\[".*own"/);
  assertClean("the output", program.output());
});

test("the real program: nothing in its output, its arguments or its name in Postgres", async () => {
  let seen: Seen | undefined;
  let letGo = () => {};
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const standIn = await startStandIn(async (call): Promise<Reply> => {
    seen = call;
    await held;
    return { text: JSON.stringify({ word: answer }) };
  });
  await db.query("select maintenance.enqueue_task('secret', 'real')");
  const program = startProgram(standIn.url, { GEMINI_API_KEY: key, LOG_LEVEL: "trace" }, [], {
    command: ["npm", "start"],
  });
  await until("it asks", () => seen !== undefined);
  const { rows: sessions } = await db.query(
    "select s::text as session from pg_stat_activity as s where s.application_name = 'edge-worker'",
  );
  const running = execFileSync("ps", ["-eo", "args"], { encoding: "utf8" });
  letGo();
  await until("it is applied", async () => (await words("real")).length === 1);
  program.child.kill("SIGTERM");
  await program.exit;
  await standIn.close();
  assertClean("the output", program.output());
  assertClean("arguments", running);
  assertClean("sessions", JSON.stringify(sessions));
  assertClean("a table of the engine", await rows());
});
