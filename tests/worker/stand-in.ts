// A stand-in for Gemini on loopback: the same wire, as strict about requests as the real one, and
// with the ways to fail that were seen of it. Run as a program it prints its address and serves.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type Seen = {
  model: string;
  key: string;
  system: string;
  content: string;
  body: Record<string, unknown>;
};

/** What the stand-in does with a request. */
export type Reply =
  | { text: string; finishReason?: string; thought?: string; usage?: unknown }
  | { response: unknown }
  | {
      status: number;
      error?: Record<string, unknown>;
      html?: string;
      location?: string;
      retryAfter?: string;
    }
  | { raw: string }
  | "hang headers"
  | "hang body"
  | "reset";

export type StandIn = { url: string; seen: Seen[]; close(): Promise<void> };

const topLevel = [
  ..."contents systemInstruction generationConfig safetySettings serviceTier cachedContent".split(
    " ",
  ),
];
const generation = [
  ..."responseMimeType responseSchema maxOutputTokens temperature topP topK seed stopSequences".split(
    " ",
  ),
  ..."candidateCount presencePenalty frequencyPenalty thinkingConfig".split(" "),
];
const schemaKeys =
  "type format title description nullable enum items minItems maxItems properties required minProperties maxProperties propertyOrdering minLength maxLength pattern minimum maximum anyOf example default".split(
    " ",
  );
const types = ["object", "array", "string", "number", "integer", "boolean"];

/** What the real API says of a request, or null where it would take it. */
export function faultOf(body: Record<string, unknown>): string | null {
  const unknownKey = Object.keys(body).find((key) => !topLevel.includes(key));
  if (unknownKey)
    return `Invalid JSON payload received. Unknown name "${unknownKey}": Cannot find field.`;
  const { contents, generationConfig = {} } = body as {
    contents?: { role?: string; parts?: { text?: unknown }[] }[];
    generationConfig?: Record<string, unknown>;
  };
  if (!Array.isArray(contents) || contents.length === 0) return "contents is not specified";
  for (const content of contents) {
    if (!content.parts?.length || content.parts.some((part) => typeof part.text !== "string")) {
      return "contents.parts must not be empty.";
    }
  }
  const wrong = Object.keys(generationConfig).find((key) => !generation.includes(key));
  if (wrong) return `Unknown name "${wrong}" at 'generation_config': Cannot find field.`;
  const schema = generationConfig["responseSchema"];
  return schema === undefined ? null : faultOfSchema(schema, "generation_config.response_schema");
}

function faultOfSchema(schema: unknown, path: string): string | null {
  if (typeof schema !== "object" || schema === null || Array.isArray(schema)) {
    return `Invalid value at '${path}' (type.googleapis.com/Schema)`;
  }
  const node = schema as Record<string, unknown>;
  for (const [key, value] of Object.entries(node)) {
    if (!schemaKeys.includes(key)) return `Unknown name "${key}" at '${path}': Cannot find field.`;
    if (value === null) return `Invalid value at '${path}.${key}', null`;
  }
  const type = String(node["type"]).toLowerCase();
  if (!types.includes(type)) return `Invalid value at '${path}.type', "${node["type"]}"`;
  if (node["enum"] !== undefined && (type !== "string" || node["format"] !== "enum")) {
    return `${path}.enum: only allowed for STRING type with format enum`;
  }
  if (type === "array") {
    return node["items"] === undefined
      ? `${path}.items: missing field.`
      : faultOfSchema(node["items"], `${path}.items`);
  }
  if (type !== "object") return null;
  const properties = (node["properties"] ?? {}) as Record<string, unknown>;
  if (Object.keys(properties).length === 0) {
    return `${path}.properties: should be non-empty for OBJECT type`;
  }
  for (const name of (node["required"] ?? []) as string[]) {
    if (!(name in properties)) return `${path}.required: property is not defined`;
  }
  for (const [name, child] of Object.entries(properties)) {
    const fault = faultOfSchema(child, `${path}.properties[${name}]`);
    if (fault) return fault;
  }
  return null;
}

/** Starts a stand-in; reply says what to do with each request that the real one would take. */
export async function startStandIn(
  reply: (seen: Seen, nr: number) => Reply | Promise<Reply> = answerByRule,
  options: { keys?: string[]; retired?: string[] } = {},
): Promise<StandIn> {
  const seen: Seen[] = [];

  async function serve(request: IncomingMessage, response: ServerResponse) {
    const fail = (status: number, error: Record<string, unknown>) =>
      response
        .writeHead(status, { "content-type": "application/json" })
        .end(JSON.stringify({ error: { code: status, ...error } }));
    const model = /^\/v1beta\/models\/([^:/]+):generateContent$/.exec(request.url ?? "")?.[1];
    if (request.method !== "POST" || !model)
      return fail(404, { status: "NOT_FOUND", message: "not found" });
    let text = "";
    for await (const chunk of request) text += chunk;
    const key = String(request.headers["x-goog-api-key"] ?? "");
    if (key === "" || (options.keys && !options.keys.includes(key))) {
      return fail(400, {
        status: "INVALID_ARGUMENT",
        message: "API key not valid. Please pass a valid API key.",
        details: [
          { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: "API_KEY_INVALID" },
        ],
      });
    }
    if (options.retired?.includes(model)) {
      return fail(404, { status: "NOT_FOUND", message: `models/${model} is not found` });
    }
    const body = JSON.parse(text) as Record<string, unknown>;
    const fault = faultOf(body);
    if (fault) return fail(400, { status: "INVALID_ARGUMENT", message: fault });

    const part = (content: unknown) =>
      (content as { parts: { text: string }[] } | undefined)?.parts[0]?.text ?? "";
    const call = {
      model,
      key,
      system: part(body["systemInstruction"]),
      content: part((body["contents"] as unknown[])[0]),
      body,
    };
    seen.push(call);
    const action = await reply(call, seen.length);
    if (action === "hang headers") return;
    if (action === "reset") return request.socket.destroy();
    if (action === "hang body") {
      response.writeHead(200, { "content-type": "application/json" }).write('{"candidates":');
      return;
    }
    if ("raw" in action) return response.writeHead(200).end(action.raw);
    if ("status" in action) {
      if (action.location) response.setHeader("location", action.location);
      if (action.retryAfter) response.setHeader("retry-after", action.retryAfter);
      if (action.html !== undefined) return response.writeHead(action.status).end(action.html);
      return fail(action.status, action.error ?? {});
    }
    const tokens = (of: string) => Math.ceil(of.length / 4);
    const whole =
      "response" in action
        ? action.response
        : {
            candidates: [
              {
                content: {
                  role: "model",
                  parts: [
                    ...(action.thought ? [{ text: action.thought, thought: true }] : []),
                    { text: action.text },
                  ],
                },
                finishReason: action.finishReason ?? "STOP",
                index: 0,
              },
            ],
            usageMetadata: action.usage ?? {
              promptTokenCount: tokens(call.system + call.content),
              candidatesTokenCount: tokens(action.text),
            },
            modelVersion: model,
          };
    return response
      .writeHead(200, { "content-type": "application/json" })
      .end(JSON.stringify(whole));
  }

  const server = createServer((request, response) => {
    serve(request, response).catch(() => request.socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** The happy answer about a profile or about memories, by a few plain rules over the lines. */
export function answerByRule(seen: Seen): Reply {
  const lines = seen.content
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Line);
  return lines[0]?.key === undefined ? profile(lines) : consolidation(lines);
}

type Line = { id: string; text: string; key?: string; category?: string | null };

/** Memories of one category: the same but for numbers contradict each other; the rest is merged. */
function consolidation(lines: Line[]): Reply {
  const operations = [];
  for (const category of new Set(lines.map((line) => line.category))) {
    const group = lines.filter((line) => line.category === category);
    if (!category || group.length < 2) continue;
    const ids = group.map(({ id }) => id);
    const alike = new Set(group.map(({ text }) => text.replace(/\d+/g, "#"))).size === 1;
    operations.push(
      alike
        ? { op: "supersede", ids, reason: "the same but for a number" }
        : { op: "merge", ids, reason: "the same habit", key: category, text: "" },
    );
  }
  return { text: JSON.stringify({ operations }) };
}

function profile(lines: Line[]): Reply {
  const find = (pattern: RegExp, value?: string) => {
    const line = lines.findLast(({ text }) => pattern.test(text));
    if (!line) return null;
    return { value: value ?? pattern.exec(line.text)?.[0] ?? line.text, evidence: [line.id] };
  };
  return {
    text: JSON.stringify({
      tone: find(/\b(brief|short|to the point)\b/i, "direct"),
      mode: find(/\b(coach|push) me\b/i, "coaching"),
      sport: find(/\b(trail running|running|swimming|cycling|rowing)\b/i),
      goal: find(/\b(a|my first) (half )?marathon( in \w+)?/i),
      experience: find(/\b(beginner|\d+ years)\b/i),
      notes: null,
    }),
  };
}

if (process.argv[1] === import.meta.filename) {
  const standIn = await startStandIn();
  process.stdout.write(`${standIn.url}\n`);
}
