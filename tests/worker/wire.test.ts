// The wire: what is sent is what the reference of v1beta has, field by field, and what comes back
// is read as it is meant. responses.json holds whole responses, written by hand after the
// reference.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { ModelError } from "../../edge-worker/failure.ts";
import { openGemini } from "../../edge-worker/gemini.ts";
import type { Request } from "../../edge-worker/queue.ts";
import { type Reply, startStandIn } from "./stand-in.ts";
import { faultOf } from "./wire.ts";

const request: Request = {
  model: "gemini-3.5-flash-lite",
  system: "Answer with one word.",
  content: "Which?",
  response_schema: {
    type: "object",
    properties: { word: { type: "string", maxLength: 80 } },
    required: ["word"],
  },
  max_output_tokens: 2048,
  generation: { thinkingConfig: { thinkingLevel: "minimal" }, seed: 7 },
  request: {
    safetySettings: [{ category: "HARM_CATEGORY_HARASSMENT", threshold: "BLOCK_NONE" }],
    serviceTier: "flex",
  },
  timeout_ms: 10_000,
  wait_ms: 0,
};
const { signal } = new AbortController();

/** Asks a server that keeps what it was sent. */
async function sent(more: Partial<Request> = {}, path = "") {
  let seen:
    | { method: string; url: string; headers: IncomingHttpHeaders; body: unknown }
    | undefined;
  const server = createServer(async (incoming, response) => {
    let body = "";
    for await (const chunk of incoming) body += chunk;
    const { method = "", url = "", headers } = incoming;
    seen = { method, url, headers, body: JSON.parse(body) };
    const parts = [{ text: "{}" }];
    response.end(JSON.stringify({ candidates: [{ content: { parts }, finishReason: "STOP" }] }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`;
  await openGemini({ apiKey: "the-key", baseUrl }).ask({ ...request, ...more }, signal);
  server.close();
  return seen ?? assert.fail("nothing was sent");
}

test("the request: method, address, headers and body", async () => {
  const { method, url, headers, body } = await sent();
  assert.equal(method, "POST");
  assert.equal(url, "/v1beta/models/gemini-3.5-flash-lite:generateContent");
  assert.equal(headers["x-goog-api-key"], "the-key");
  assert.equal(headers["content-type"], "application/json");
  assert.deepEqual(body, {
    contents: [{ role: "user", parts: [{ text: "Which?" }] }],
    systemInstruction: { role: "system", parts: [{ text: "Answer with one word." }] },
    generationConfig: {
      responseMimeType: "application/json",
      responseSchema: {
        type: "object",
        properties: { word: { type: "string", maxLength: 80 } },
        required: ["word"],
      },
      maxOutputTokens: 2048,
      thinkingConfig: { thinkingLevel: "minimal" },
      seed: 7,
    },
    safetySettings: [{ category: "HARM_CATEGORY_HARASSMENT", threshold: "BLOCK_NONE" }],
    serviceTier: "flex",
  });
  assert.equal(faultOf(body), null);
});

test("names with models/ and tunedModels/, and an address with a path", async () => {
  const of = async (model: string, path = "") => (await sent({ model }, path)).url;
  assert.equal(await of("models/gemini-3"), "/v1beta/models/gemini-3:generateContent");
  assert.equal(await of("tunedModels/mine"), "/v1beta/tunedModels/mine:generateContent");
  assert.equal(await of("gemini-3", "/gateway"), "/gateway/v1beta/models/gemini-3:generateContent");
});

type Fixture = {
  text?: string;
  usage?: Record<string, unknown>;
  failure?: string;
  message?: string;
  retryAfterMs?: number;
  details?: unknown;
};
const fixtures = JSON.parse(
  readFileSync(new URL("responses.json", import.meta.url), "utf8"),
) as Record<string, Fixture>;

for (const [name, fixture] of Object.entries(fixtures)) {
  test(`the response: ${name}`, async (t) => {
    const { text, usage, failure, message, retryAfterMs = 0, details, ...reply } = fixture;
    const standIn = await startStandIn(() => reply as Reply);
    t.after(() => standIn.close());
    const asked = openGemini({ apiKey: "the-key", baseUrl: standIn.url }).ask(request, signal);
    if (failure === undefined) {
      const answer = await asked;
      assert.equal(answer.text, text);
      assert.deepEqual({ ...answer.usage, durationMs: 0 }, { ...usage, durationMs: 0 });
    } else {
      const error = await asked.then(
        () => assert.fail("it was taken"),
        (reason) => reason,
      );
      assert(error instanceof ModelError);
      assert.equal(error.failureClass, failure);
      assert.equal(
        error.message,
        `${message}: POST ${new URL(standIn.url).host}, ${request.model}`,
      );
      const ms = error.retryAfterMs ?? 0;
      assert(ms >= retryAfterMs && ms <= retryAfterMs * 1.1, `retry after ${ms}`);
      assert.deepEqual(JSON.parse(JSON.stringify(error.details ?? null)), details ?? null);
    }
  });
}

const contents = [{ role: "user", parts: [{ text: "x" }] }];
const schema = (responseSchema: unknown) => ({
  contents,
  generationConfig: { responseSchema, responseMimeType: "application/json" },
});
const config = (generationConfig: object) => ({ contents, generationConfig });

test("the stand-in takes what Gemini takes", () => {
  for (const body of [
    { contents },
    { contents: [{ parts: [{ text: "x" }] }] },
    {
      contents,
      system_instruction: { parts: [{ text: "x" }] },
      generation_config: { max_output_tokens: 9 },
    },
    { contents, tools: [{ googleSearch: {} }], toolConfig: {}, cachedContent: "cachedContents/1" },
    config({ responseJsonSchema: { type: "object" }, responseMimeType: "application/json" }),
    config({ responseModalities: ["TEXT"], logprobs: 2, responseLogprobs: true, speechConfig: {} }),
    config({ mediaResolution: "MEDIA_RESOLUTION_LOW", temperature: 2, topP: 1, topK: 40, seed: 1 }),
    config({
      maxOutputTokens: 65_536,
      thinkingConfig: { thinkingLevel: "MINIMAL", includeThoughts: true },
    }),
    schema({
      type: "STRING",
      minLength: "1",
      maxLength: 9,
      pattern: "a+",
      default: "a",
      example: "a",
    }),
    schema({
      type: "object",
      minProperties: 1,
      maxProperties: 2,
      properties: { a: { type: "NUMBER", minimum: 0, maximum: 1 } },
    }),
    schema({ type: "string", enum: ["a", "b"] }),
    config({ thinkingConfig: { thinkingBudget: 0 } }),
    schema({ anyOf: [{ type: "string" }, { type: "null" }] }),
  ]) {
    assert.equal(faultOf(body), null, JSON.stringify(body));
  }
  assert.equal(
    faultOf(config({ thinkingConfig: { thinkingBudget: 0 } }), "gemini-2.5-flash-lite"),
    null,
  );
});

test("and refuses what Gemini refuses", () => {
  const refuses = (body: unknown, words: RegExp, model?: string, bytes?: number) => {
    const fault = faultOf(body, model, bytes);
    assert.match(String(fault?.error["message"]), words, JSON.stringify(body));
    assert.equal(fault?.status, 400);
  };
  refuses({ contents, extra: 1 }, /Unknown name "extra": Cannot find field/);
  refuses({ contents: [] }, /contents is not specified/);
  refuses({ contents: [{ role: "system", parts: [{ text: "x" }] }] }, /valid role: user, model/);
  refuses({ contents: [{ role: "user", parts: [] }] }, /must not be empty/);
  refuses({ contents: [{ role: "user", parts: [{ words: "x" }] }] }, /Unknown name "words"/);
  refuses({ contents }, /payload size exceeds/, undefined, 20_971_521);
  refuses(
    { contents, safetySettings: [{ category: "HARM", threshold: "OFF" }] },
    /safety_settings/,
  );
  refuses(config({ maxOutputTokens: 65_537 }), /maxOutputTokens value of 65537/);
  refuses(config({ maxOutputTokens: 0 }), /maxOutputTokens value of 0/);
  refuses(config({ temperature: 2.01 }), /temperature: must be in the range/);
  refuses(config({ topP: 1.5 }), /topP/);
  refuses(config({ maxTokens: 5 }), /Unknown name "maxTokens"/);
  refuses(config({ responseSchema: { type: "string" } }), /needs 'application\/json'/);
  const both = { thinkingBudget: 0, thinkingLevel: "low" };
  refuses(config({ thinkingConfig: both }), /only one of/);
  refuses(
    config({ thinkingConfig: { thinkingBudget: 99_999 } }),
    /thinking budget 99999 is invalid/,
  );
  refuses(
    config({ thinkingConfig: { thinkingLevel: "low" } }),
    /not supported/,
    "gemini-2.5-flash-lite",
  );
  refuses(config({ thinkingConfig: { thinkingLevel: "minimal" } }), /MINIMAL/, "gemini-3.8-flash");
  refuses(config({ thinkingConfig: { thinkingLevel: "none" } }), /thinking_level/);
  refuses(schema({ type: "object", properties: {} }), /non-empty/);
  refuses(schema({ type: "string", enum: null }), /null/);
  refuses(schema({ type: "integer", enum: ["1"] }), /only allowed for STRING type/);
  refuses(schema({ type: "string", enum: [1] }), /Invalid value at .*enum/);
  refuses(schema({ type: "string", enum: ["", "a"] }), /enum\[0\]: cannot be empty/);
  refuses(schema({ type: "string", format: "uuid" }), /only enum,date-time are supported/);
  refuses(schema({ type: "string", minLength: "abc" }), /minLength/);
  refuses(schema({ type: "string", required: ["a"] }), /required: only allowed for OBJECT/);
  refuses(schema({ type: "string", anyOf: [{ type: "string" }] }), /must be the only field set/);
  const object = { type: "object", properties: { a: { type: "string" } } };
  refuses(schema({ ...object, propertyOrdering: ["b"] }), /property is not defined/);
  refuses(config({ seed: 1.5 }), /seed/);
  refuses(config({ stopSequences: ["a", "b", "c", "d", "e", "f"] }), /at most 5/);
  refuses(config({ responseMimeType: "text/html" }), /allowed mimetypes/);
  refuses({ contents, generationConfig: [] }, /generation_config/);
  refuses({ contents, safetySettings: {} }, /safety_settings/);
  refuses({ contents, serviceTier: "gold" }, /service_tier/);
  refuses(
    { contents, cachedContent: "c/1", systemInstruction: { parts: [{ text: "x" }] } },
    /CachedContent can not be used/,
  );
  refuses({ contents: [{ parts: [{ text: 5 }] }] }, /TYPE_STRING/);
  refuses(schema({ type: "text" }), /Invalid value/);
  refuses(schema({ type: "string", minLen: 3 }), /Unknown name "minLen"/);
  refuses(schema({ type: "array" }), /items: missing field/);
});
