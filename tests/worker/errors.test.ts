// Every way that Gemini can fail, over real HTTP: its class, and what becomes of the task.
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { after, before, beforeEach, test } from "node:test";
import { retryAfterMs } from "../../edge-worker/failure.ts";
import { openGemini } from "../../edge-worker/gemini.ts";
import { db, enqueue, forget, runOnce, setUp, task, words } from "./setup.ts";
import { type Reply, startStandIn } from "./stand-in.ts";

before(setUp);
beforeEach(forget);
after(() => db.end());

const quota = (quotaId: string, retryDelay?: string): Reply => ({
  status: 429,
  error: {
    status: "RESOURCE_EXHAUSTED",
    message: "You exceeded your current quota.",
    details: [
      { "@type": "type.googleapis.com/google.rpc.QuotaFailure", violations: [{ quotaId }] },
      ...(retryDelay ? [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay }] : []),
    ],
  },
});
const error = (status: number, word: string, message: string): Reply => ({
  status,
  error: { status: word, message },
});

type Case = {
  name: string;
  reply: Reply;
  failureClass: string;
  state?: string;
  attempts?: number;
  /** What cools, and for how many seconds: at least, at most. */
  cools?: [string, number, number];
};
/** Nobody was answered before: what may be the model's fault costs the task nothing. */
const cases: Case[] = [
  {
    name: "429 a minute",
    reply: quota("GenerateRequestsPerMinutePerProjectPerModel", "36.4s"),
    failureClass: "defer",
    cools: ["limit", 36.4, 40.1],
  },
  {
    name: "429 a day",
    reply: quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "9s"),
    failureClass: "defer",
    cools: ["limit", 0, 90_000],
  },
  {
    name: "429 in words",
    reply: error(429, "RESOURCE_EXHAUSTED", "Please retry in 12.5s."),
    failureClass: "defer",
    cools: ["limit", 12.5, 13.8],
  },
  {
    name: "429 bare",
    reply: error(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    failureClass: "defer",
    cools: ["limit", 1, 1],
  },
  {
    name: "503",
    reply: error(503, "UNAVAILABLE", "The model is overloaded."),
    failureClass: "defer",
    cools: ["fault", 1, 1],
  },
  {
    name: "503 of a proxy",
    reply: { status: 503, html: "<html>Service Unavailable</html>" },
    failureClass: "defer",
    cools: ["fault", 1, 1],
  },
  {
    name: "500",
    reply: error(500, "INTERNAL", "An internal error has occurred."),
    failureClass: "transient",
    cools: ["fault", 1, 1],
  },
  {
    name: "504",
    reply: error(504, "DEADLINE_EXCEEDED", "Deadline expired."),
    failureClass: "transient",
    cools: ["fault", 1, 1],
  },
  { name: "reset", reply: "reset", failureClass: "transient", cools: ["fault", 1, 1] },
  {
    name: "hanging headers",
    reply: "hang headers",
    failureClass: "transient",
    cools: ["fault", 1, 1],
  },
  { name: "hanging body", reply: "hang body", failureClass: "transient", cools: ["fault", 1, 1] },
  {
    name: "a body that is no JSON",
    reply: { raw: '{"candidates": [' },
    failureClass: "transient",
    cools: ["fault", 1, 1],
  },
  {
    name: "401",
    reply: error(401, "UNAUTHENTICATED", "no"),
    failureClass: "configuration",
  },
  { name: "403", reply: error(403, "PERMISSION_DENIED", "no"), failureClass: "configuration" },
  {
    name: "404",
    reply: error(404, "NOT_FOUND", "models/x is not found"),
    failureClass: "gone",
    cools: ["gone", 60, 60],
  },
  {
    name: "400 region",
    reply: error(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
    failureClass: "configuration",
  },
  {
    name: "400",
    reply: error(400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
    failureClass: "rejected",
    cools: ["refused", 60, 60],
  },
  {
    name: "400 of the settings",
    reply: error(400, "FAILED_PRECONDITION", "Thinking level MINIMAL is not supported."),
    failureClass: "rejected",
    cools: ["refused", 60, 60],
  },
  {
    name: "400 too large",
    reply: error(
      400,
      "INVALID_ARGUMENT",
      "The input token count (2000000) exceeds the maximum number of tokens allowed.",
    ),
    failureClass: "too_large",
    attempts: 1,
  },
  {
    name: "a blocked prompt",
    reply: {
      response: {
        promptFeedback: { blockReason: "PROHIBITED_CONTENT" },
        usageMetadata: { promptTokenCount: 7 },
      },
    },
    failureClass: "blocked",
    state: "skipped",
    attempts: 1,
  },
  {
    name: "a blocked answer",
    reply: { response: { candidates: [{ finishReason: "SAFETY" }] } },
    failureClass: "blocked",
    state: "skipped",
    attempts: 1,
  },
  {
    name: "MAX_TOKENS",
    reply: { text: '{"word": "cut"}', finishReason: "MAX_TOKENS" },
    failureClass: "bad_output",
  },
  {
    name: "no candidate",
    reply: { response: {} },
    failureClass: "transient",
    cools: ["fault", 1, 1],
  },
  {
    name: "an error that comes as 200",
    reply: { response: { error: { code: 503, message: "x" } } },
    failureClass: "transient",
    cools: ["fault", 1, 1],
  },
  {
    name: "503 with a time",
    reply: {
      status: 503,
      error: {
        message: "busy",
        details: [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "40s" }],
      },
    },
    failureClass: "defer",
    cools: ["fault", 40, 44],
  },
  { name: "an empty text", reply: { text: "" }, failureClass: "bad_output", attempts: 1 },
  {
    name: "null candidates",
    reply: { response: { candidates: null, promptFeedback: null } },
    failureClass: "transient",
    cools: ["fault", 1, 1],
  },
  {
    name: "prose",
    reply: { text: "I would rather not." },
    failureClass: "bad_output",
    attempts: 1,
  },
];

for (const { name, reply, failureClass, state = "ready", attempts = 0, cools } of cases) {
  test(`${name} is ${failureClass}: ${state}, ${attempts} attempts`, async () => {
    const standIn = await startStandIn(() => reply);
    const id = await enqueue(`error ${name}`);
    await runOnce(standIn.url, { timeoutMs: 300, oneCall: true });
    await standIn.close();
    const row = await task(id);
    assert.equal(row.last_class, failureClass);
    assert.equal(row.state, state);
    assert.equal(row.attempts, attempts);
    assert.equal(standIn.seen.length, 1, "one call, no retry in the process");
    const { rows } = await db.query(
      `select class, extract(epoch from until - since)::float as seconds
      from maintenance_internal.cool_down`,
    );
    assert.equal(rows.length, cools ? 1 : 0);
    if (cools) {
      assert.equal(rows[0].class, cools[0]);
      const { seconds } = rows[0];
      assert(seconds >= cools[1] && seconds <= cools[2], `it cools for ${seconds} s`);
    }
    assert.deepEqual(await words(`error ${name}`), []);
    assert(!JSON.stringify(row).includes("test-key"));
    const calls = await db.query(
      "select outcome, settled_at is not null as settled, details from maintenance.model_call",
    );
    const said = typeof reply === "object" && "status" in reply && reply.error?.["details"];
    if (!said) assert.equal(calls.rows[0].details, null);
    assert.deepEqual(calls.rows, [
      { outcome: failureClass, settled: true, details: calls.rows[0].details },
    ]);
  });
}

test("when Gemini wants to be asked again, in all its spellings", () => {
  const between = (said: string, least: number) => {
    const ms = retryAfterMs(said) ?? Number.NaN;
    assert(ms >= least && ms <= least * 1.1, `${said}: ${ms}`);
  };
  between("36.4s", 36_400);
  between("5h36m3.2s.", 20_163_200);
  between("812.3ms.", 812);
  between("0s", 0);
  between("200h", 86_400_000);
  between("120", 120_000);
  between(new Date(Date.now() + 86_400_000).toUTCString(), 86_398_000);
  for (const said of [
    "prepayment credits are depleted",
    "",
    "...s",
    "-3",
    "Wed, 21 Oct 2015 07:28:00 GMT",
  ]) {
    assert.equal(retryAfterMs(said), undefined, said);
  }
  assert.equal(retryAfterMs(undefined, null, "0s"), 0, "the first that says it");
});

test("a refused connection says so, with host and port", async () => {
  const id = await enqueue("error refused");
  await runOnce("http://localhost:59998", { oneCall: true });
  const row = await task(id);
  assert.equal(row.last_class, "defer");
  assert.match(
    row.last_error,
    /^no connection \(ECONNREFUSED\): POST localhost:59998, gemini-3.5-flash-lite$/,
  );
});

test("a finished call leaves no timer and no listener behind", async () => {
  const standIn = await startStandIn(() => ({ text: "{}" }));
  const model = openGemini({ apiKey: "k", baseUrl: standIn.url });
  const request = {
    model: "m",
    system: "s",
    content: "c",
    response_schema: { type: "object", properties: { a: { type: "string" } } },
    max_output_tokens: 10,
    generation: {},
    request: {},
    timeout_ms: 60_000,
    wait_ms: 0,
  };
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const { signal } = new AbortController();
  await model.ask(request, signal);
  const before = timers();
  for (let i = 0; i < 12; i += 1) await model.ask(request, signal);
  assert.equal(timers(), before);
  assert.equal(getEventListeners(signal, "abort").length, 0);
  await assert.rejects(model.ask(request, AbortSignal.abort(new Error("too late"))), /too late/);
  assert.equal(standIn.seen.length, 13, "an aborted signal asks nothing");
  await standIn.close();
});

test("thoughts are no part of the answer, and fences are accepted", async () => {
  const standIn = await startStandIn(() => ({
    text: '```json\n{"word": "deep"}\n```',
    thought: "Let me think: {",
  }));
  const id = await enqueue("thought");
  await runOnce(standIn.url);
  await standIn.close();
  assert.equal((await task(id)).state, "succeeded");
  assert.deepEqual(await words("thought"), ["deep"]);
});

test("odd metadata costs no answer", async () => {
  const standIn = await startStandIn(() => ({
    response: {
      candidates: [{ content: { parts: [{ text: '{"word": "x"}' }] }, finishReason: "STOP" }],
      usageMetadata: "lots",
      modelVersion: 3,
    },
  }));
  const id = await enqueue("odd");
  await runOnce(standIn.url);
  await standIn.close();
  assert.equal((await task(id)).state, "succeeded");
  const { rows } = await db.query("select is_estimate from maintenance.model_call");
  assert.deepEqual(rows, [{ is_estimate: true }]);
});

test("nulls in the usage are none, and the answer counts", async () => {
  const usage = { promptTokenCount: 100, candidatesTokenCount: null, thoughtsTokenCount: null };
  const standIn = await startStandIn(() => ({ text: '{"word": "x"}', usage }));
  const id = await enqueue("usage");
  await runOnce(standIn.url);
  await standIn.close();
  assert.equal((await task(id)).state, "succeeded");
  assert.equal(Number((await task(id)).cost_usd), 0.00003);
});
