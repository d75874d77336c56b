// A stand-in for Gemini on loopback: the same wire, as strict about requests as the real one, and
// with the ways to fail that were seen of it. Run as a program it prints its address and serves.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { faultOf, responseOf } from "./wire.ts";

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
    const path = /^\/v1beta\/(?:models|tunedModels)\/([^:/]+):generateContent$/;
    const model = path.exec(request.url ?? "")?.[1];
    if (request.method !== "POST" || !model) {
      return response.writeHead(404).end("<html><title>Error 404 (Not Found)!!1</title></html>");
    }
    let text = "";
    for await (const chunk of request) text += chunk;
    const key = String(request.headers["x-goog-api-key"] ?? "");
    if (key === "" || (options.keys && !options.keys.includes(key))) {
      return fail(400, {
        status: "INVALID_ARGUMENT",
        message: "API key not valid. Please pass a valid API key.",
        details: [
          {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            reason: "API_KEY_INVALID",
            domain: "googleapis.com",
            metadata: { service: "generativelanguage.googleapis.com" },
          },
        ],
      });
    }
    if (options.retired?.includes(model)) {
      return fail(404, {
        status: "NOT_FOUND",
        message: `models/${model} is not found for API version v1beta`,
      });
    }
    const body = JSON.parse(text) as Record<string, unknown>;
    const fault = faultOf(body, model, Buffer.byteLength(text));
    if (fault) return fail(fault.status, fault.error);

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
        : responseOf({
            model,
            ...action,
            promptTokens: tokens(call.system + call.content),
            answerTokens: tokens(action.text),
          });
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

/** The happy answer of each kind, by a few plain rules over the lines. */
export function answerByRule(seen: Seen): Reply {
  const lines = seen.content
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Line);
  const config = seen.body["generationConfig"] as { responseSchema?: { required?: string[] } };
  const wanted = config.responseSchema?.required ?? [];
  if (wanted.includes("plot_board_patch")) return patch(lines.at(-1), wanted);
  if (wanted.includes("text")) return post(lines, seen.system);
  if (wanted.includes("c0_summary")) return day(lines);
  if (wanted.includes("open_loops")) return episode(lines);
  if (wanted.includes("summary")) return summary(lines);
  return lines[0]?.key === undefined ? profile(lines) : consolidation(lines);
}

type Line = {
  id: string;
  text: string;
  key?: string;
  category?: string | null;
  role?: string;
  summary?: string;
  turn?: Record<string, string>;
};

const saidBy = (role: string, lines: Line[]) =>
  lines.filter((line) => line.role === role).map(({ text }) => text);

/** What was said is an event, a question an open thread, and brings the two closer. */
function patch(line: Line | undefined, keys: string[]): Reply {
  const said = line?.turn?.["user"] ?? line?.turn?.["assistant"] ?? "";
  const item = {
    key: said
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, "_")
      .slice(0, 30),
    text: said,
  };
  const changes: Record<string, unknown> = {
    focus_panel_next: { scene: said.slice(0, 60) },
    plot_board_patch: {
      open_threads_add: said.includes("?") ? [item] : [],
      experience_axes_delta: { relationship: 0.1 },
    },
    ledger_patch: { event_log_add: [item] },
  };
  return {
    text: JSON.stringify(Object.fromEntries(keys.map((key) => [key, changes[key] ?? null]))),
  };
}

function post(lines: Line[], system: string): Reply {
  const last = saidBy("user", lines).at(-1) ?? "nothing";
  const text = system.includes("diary")
    ? `Dear diary, today we spoke of this: ${last}`
    : `Still thinking of what you said: ${last}`;
  return { text: JSON.stringify({ text }) };
}

function episode(lines: Line[]): Reply {
  const loops = saidBy("user", lines).filter((text) => text.includes("?"));
  const text = { summary: saidBy("user", lines).join(" "), open_loops: loops, tags: ["chat"] };
  return { text: JSON.stringify({ ...text, summary: text.summary.slice(0, 900) || "Posts." }) };
}

function day(lines: Line[]): Reply {
  const said = saidBy("user", lines);
  return {
    text: JSON.stringify({
      c0_summary: said.join(" ").slice(0, 900) || "A quiet day.",
      c1_highlights: said.slice(-3),
      c2_user_profile: said[0] ?? "",
      c3_role_profile: saidBy("assistant", lines)[0] ?? "",
    }),
  };
}

/** What a user said in a chat, each message cut; after what was summed up before. */
function summary(lines: Line[]): Reply {
  const said = lines.filter((line) => line.role !== "assistant");
  const text = said.map((line) => line.summary ?? (line.text ?? "").slice(0, 60)).join(" ");
  return { text: JSON.stringify({ summary: text.slice(0, 3000) || "Nothing was said." }) };
}

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
  const delay = Number(process.env["DELAY_MS"] ?? 0);
  const standIn = await startStandIn(async (seen) => {
    await new Promise((resolve) => setTimeout(resolve, delay));
    return answerByRule(seen);
  });
  process.stdout.write(`${standIn.url}\n`);
}
