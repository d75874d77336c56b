// Gemini, and the only file that knows its SDK. A call is made once, to the address that is set and
// to nobody else, and ends in time; 10 MB of an answer are read at most. Of a failure nothing
// leaves this file but its class and what may be told to anybody: whom it asked, the status,
// reasons, quotas and delays; never a word of the key, the prompt or the answer, whoever answers.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { compileFunction } from "node:vm";
import type { ResponseSchema } from "@google/generative-ai";
import { z } from "zod";
import type { FailureClass, Request } from "./queue.ts";

/** What a call has taken, by the names of Gemini's usageMetadata, and durationMs. */
export type Usage = Record<string, number | string>;

/** A call that gave no answer to use. Its message and details may be told to anybody. */
export class ModelError extends Error {
  readonly failureClass: FailureClass;
  readonly retryAfterMs: number | undefined;
  readonly details: unknown;
  usage: Usage | undefined;

  constructor(
    failureClass: FailureClass,
    message: string,
    more: { retryAfterMs?: number | undefined; usage?: Usage; details?: unknown } = {},
  ) {
    super(message);
    this.failureClass = failureClass;
    this.retryAfterMs = more.retryAfterMs;
    this.usage = more.usage;
    this.details = more.details;
  }
}

/** Asks a model once. Rejects with a ModelError, or with the signal's reason. */
export type Model = {
  ask(request: Request, signal: AbortSignal): Promise<{ text: string; usage: Usage }>;
};

const mostBytes = 10_000_000;

/**
 * Opens Gemini, at its own address or another one; no answer is waited for longer than timeoutMs.
 */
export function openGemini(options: {
  apiKey: string;
  baseUrl?: string | undefined;
  timeoutMs?: number | undefined;
}): Model {
  const { apiKey, baseUrl = "https://generativelanguage.googleapis.com" } = options;
  const client = new sdk.GoogleGenerativeAI(apiKey);

  return {
    async ask(request, signal) {
      signal.throwIfAborted();
      const started = performance.now();
      const durationMs = () => Math.round(performance.now() - started);
      const timeoutMs = Math.min(request.timeout_ms, options.timeoutMs ?? request.timeout_ms);
      const tell = teller([apiKey, request.system, request.content]);
      // The SDK never clears its timer, and never lets go of a signal: both are of this call alone.
      const call = new AbortController();
      const stop = () => call.abort();
      signal.addEventListener("abort", stop);
      let isTooLate = false;
      const timer = setTimeout(() => {
        isTooLate = true;
        call.abort();
      }, timeoutMs);
      try {
        const model = client.getGenerativeModel(
          {
            model: request.model,
            systemInstruction: request.system,
            generationConfig: {
              ...request.generation,
              responseMimeType: "application/json",
              responseSchema: request.response_schema as unknown as ResponseSchema,
              maxOutputTokens: request.max_output_tokens,
            },
          },
          { baseUrl },
        );
        const { response } = await model.generateContent(
          { ...request.request, contents: [{ role: "user", parts: [{ text: request.content }] }] },
          { signal: call.signal },
        );
        const { text, usage } = read(response, tell);
        return { text, usage: { ...usage, durationMs: durationMs() } };
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        const failure = isTooLate
          ? new ModelError("transient", `no answer within ${timeoutMs / 1000} seconds`)
          : failureOf(error, tell);
        const asked = `POST ${new URL(baseUrl).host}, ${request.model}`;
        throw new ModelError(failure.failureClass, `${failure.message}: ${asked}`, {
          retryAfterMs: failure.retryAfterMs,
          details: failure.details,
          usage: { ...failure.usage, durationMs: durationMs() },
        });
      } finally {
        clearTimeout(timer);
        signal.removeEventListener("abort", stop);
      }
    },
  };
}

/**
 * The SDK with another fetch than the process's, which would follow redirects with the key and the
 * prompt, and read whatever comes. The SDK takes none as an option. What a fetch throws it puts
 * into words, and what reading an answer throws it hands on: so all of the work is done while it
 * reads.
 */
const sdk = (() => {
  const require = createRequire(import.meta.url);
  const filename = require.resolve("@google/generative-ai");
  const module = { exports: {} as typeof import("@google/generative-ai") };
  const parameters = ["module", "exports", "require", "fetch"];
  const run = compileFunction(readFileSync(filename, "utf8"), parameters, { filename });
  run(module, module.exports, require, async (url: string, init: RequestInit) => ({
    ok: true,
    json: () => fetchJson(url, init),
  }));
  return module.exports;
})();

/** What came back for an answer with another status than 200. */
class Refusal extends Error {
  readonly response: Response;
  readonly body: string;

  constructor(response: Response, body: string) {
    super();
    this.response = response;
    this.body = body;
  }
}

async function fetchJson(url: string, init: RequestInit): Promise<object> {
  const response = await fetch(url, { ...init, redirect: "manual" });
  const body = await readText(response);
  if (!response.ok) throw new Refusal(response, body);
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // The words of a parser are those that it could not read.
  }
  throw new ModelError("transient", "the response is no JSON object");
}

/** The body of a response, up to a length that no answer has. */
async function readText(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    bytes += part.length;
    if (bytes > mostBytes) {
      throw new ModelError("transient", `${response.status}, an answer of more than 10 MB`);
    }
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}

/** A text as it is, if it looks as it should and is no part of what was sent; else undefined. */
type Tell = (text: string | null | undefined, pattern: RegExp) => string | undefined;

function teller(sent: string[]): Tell {
  return (text, pattern) =>
    text && pattern.test(text) && !sent.some((part) => holds(part, text) || holds(text, part))
      ? text
      : undefined;
}

/** Whether a text holds another one; less than eight characters tell nothing of what was sent. */
const holds = (text: string, part: string) => part.length >= 8 && text.includes(part);

const aText = z.string().nullish().catch(undefined);
const aCount = z.number().nullish().catch(undefined);

const responseShape = z.object({
  candidates: z
    .array(
      z.object({
        finishReason: aText,
        content: z
          .object({
            parts: z
              .array(z.object({ text: z.string().nullish(), thought: z.boolean().nullish() }))
              .nullish(),
          })
          .nullish(),
      }),
    )
    .nullish(),
  promptFeedback: z.object({ blockReason: aText }).nullish(),
  // What is wrong about these costs no answer.
  usageMetadata: z
    .object({
      promptTokenCount: aCount,
      candidatesTokenCount: aCount,
      thoughtsTokenCount: aCount,
      cachedContentTokenCount: aCount,
      totalTokenCount: aCount,
    })
    .nullish()
    .catch(null),
  modelVersion: aText,
});

const word = /^[A-Z][A-Z0-9_]{1,62}$/;

/** The answer of a response: whole, and without thoughts; or why there is none. */
function read(response: unknown, tell: Tell): { text: string; usage: Usage } {
  const parsed = responseShape.safeParse(response);
  if (!parsed.success) {
    throw new ModelError("transient", "the response has another shape than Gemini's");
  }
  const { candidates, promptFeedback, usageMetadata, modelVersion } = parsed.data;
  const candidate = candidates?.[0];
  const said = candidate?.finishReason ?? "none";
  // What is known means something, also where the prompt speaks of it.
  const reason = finishReasons.has(said) ? said : (tell(said, word) ?? "that is not known");
  const counts = Object.entries({
    ...usageMetadata,
    finishReason: reason,
    modelVersion: tell(modelVersion, /^[\w.:/@-]{1,100}$/),
  }).filter((entry): entry is [string, number | string] => entry[1] != null);
  const usage = Object.fromEntries(counts);
  const fail = (failureClass: FailureClass, message: string) =>
    new ModelError(failureClass, message, { usage });

  if (promptFeedback?.blockReason) {
    const block = tell(promptFeedback.blockReason, word) ?? "for a reason that is not known";
    throw fail("blocked", `the prompt was blocked: ${block}`);
  }
  if (blocked.test(reason)) throw fail("blocked", `the answer was blocked: ${reason}`);
  if (misled.test(reason)) throw fail("rejected", `the request has led to ${reason}`);
  const answer = (candidate?.content?.parts ?? [])
    .filter((part) => !part.thought)
    .map((part) => part.text ?? "")
    .join("");
  if (reason !== "STOP" || answer === "") {
    const what = answer === "" ? "no text" : "a text that was cut";
    // A model that says nothing and does not say why is out of order.
    const isSilent = answer === "" && !["STOP", "MAX_TOKENS"].includes(reason);
    throw fail(isSilent ? "transient" : "bad_output", `${what}, finish reason ${reason}`);
  }
  return { text: answer, usage };
}

/** The words of an enum. */
const words = (text: string) => new Set(text.split(/\s+/));

const finishReasons = words(`none STOP MAX_TOKENS SAFETY RECITATION LANGUAGE OTHER BLOCKLIST SPII
  PROHIBITED_CONTENT MALFORMED_FUNCTION_CALL IMAGE_SAFETY UNEXPECTED_TOOL_CALL TOO_MANY_TOOL_CALLS
  MISSING_THOUGHT_SIGNATURE MALFORMED_RESPONSE`);
const blocked =
  /^(SAFETY|RECITATION|LANGUAGE|BLOCKLIST|PROHIBITED_CONTENT|SPII|NO_IMAGE|IMAGE_[A-Z_]+)$/;
/** Reasons that lie in the request: the same one would lead there again. */
const misled = /^(TOO_MANY_TOOL_CALLS|MISSING_THOUGHT_SIGNATURE)$/;

/** The words of google.rpc.Code: who answers with one of them is Gemini, or speaks for it. */
const codes = words(`CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS
  PERMISSION_DENIED UNAUTHENTICATED RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE
  UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS`);

const errorShape = z.object({
  error: z.object({
    status: aText,
    message: aText,
    details: z
      .array(
        z
          .object({
            "@type": aText,
            reason: aText,
            retryDelay: aText,
            violations: z
              .array(z.object({ quotaId: aText, quotaMetric: aText, quotaValue: aText }))
              .nullish()
              .catch(undefined),
          })
          .catch({}),
      )
      .nullish()
      .catch(undefined),
  }),
});

/** What an error of a call means, and what may be told of it. */
function failureOf(error: unknown, tell: Tell): ModelError {
  if (error instanceof ModelError) return error;
  if (error instanceof Refusal) return refusalOf(error, tell);
  // Node's words for it may be those of the other side; its code is Node's own.
  const code = tell(codeOf(error), word);
  if (!code) return new ModelError("transient", "the call failed in an unknown way");
  return /^UND_ERR_(HEADERS|BODY)_TIMEOUT$/.test(code)
    ? new ModelError("transient", `no answer in time (${code})`)
    : new ModelError("defer", `no connection (${code})`);
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  return codeOf(error.cause) ?? ("code" in error ? String(error.code) : undefined);
}

function refusalOf({ response, body }: Refusal, tell: Tell): ModelError {
  const { status, headers } = response;
  if (status < 400) {
    const location = headers.get("location") ?? "";
    const place = URL.canParse(location, response.url) && new URL(location, response.url).host;
    const told = tell(place || undefined, /^[\w.:[\]-]{1,100}$/) ?? "another address";
    return new ModelError("configuration", `${status}, a redirect to ${told}`);
  }
  const { error } = errorShape.safeParse(parseJson(body)).data ?? { error: null };
  const code = codes.has(error?.status ?? "") ? error?.status : undefined;
  const said = error?.message ?? "";
  const details = (error?.details ?? []).flatMap((detail) => {
    const type = /\.(ErrorInfo|QuotaFailure|RetryInfo)$/.exec(detail["@type"] ?? "")?.[1];
    if (!type) return [];
    return {
      "@type": type,
      reason: tell(detail.reason, word),
      retryDelay: tell(detail.retryDelay, /^[\d.hms]{1,30}$/),
      violations: detail.violations?.slice(0, 10).map((violation) => ({
        quotaId: tell(violation.quotaId, /^[\w-]{1,150}$/),
        quotaMetric: tell(violation.quotaMetric, /^[\w./-]{1,150}$/),
        quotaValue: tell(violation.quotaValue, /^\d{1,15}$/),
      })),
    };
  });
  const reasons = details.flatMap(({ reason }) => reason ?? []);
  const quotas = details.flatMap(({ violations = [] }) => violations.map((one) => one.quotaId));
  const as = (failureClass: FailureClass, hint?: string) =>
    new ModelError(
      failureClass,
      [
        `${status}${code ? ` ${code}` : ""}`,
        ...new Set([...reasons, ...quotas.flatMap((id) => id ?? [])]),
        ...(/limit: 0\b/.test(said) ? ["limit: 0"] : []),
        ...(hint ? [hint] : []),
      ].join(", "),
      {
        ...(details.length > 0 ? { details } : {}),
        retryAfterMs: retryAfterMs(
          details.find(({ retryDelay }) => retryDelay)?.retryDelay,
          /retry in ([\d.hms]+)/.exec(said)?.[1],
          headers.get("retry-after"),
        ),
      },
    );

  if ([429, 503, 499].includes(status)) return as("defer");
  if (status === 404 && code) return as("gone", "no such model");
  if ([401, 403, 404, 405].includes(status)) {
    return as("configuration", code ? "the key, or its project" : "no Gemini at GEMINI_BASE_URL");
  }
  if (status === 413) return as("too_large");
  if (status === 400) {
    if (
      error?.details?.some(({ reason }) => reason === "API_KEY_INVALID") ||
      /API key (not valid|expired)/.test(said)
    ) {
      return as("configuration", "the key is not valid");
    }
    if (/User location is not supported/i.test(said)) {
      return as("configuration", "not from this place");
    }
    if (/billing/i.test(said)) return as("configuration", "billing");
    if (/(token count|payload size) .*exceeds|too (large|long)/i.test(said))
      return as("too_large", "too large");
    const settings = settingNames.filter((name) => spelt(name).test(said)).join(", ");
    return as("rejected", settings && `it speaks of ${settings}`);
  }
  if (status < 500 && status !== 408) return as("rejected");
  return as("transient");
}

/** What of a request is set in rows of the database: which of them is refused may be told. */
const settingNames = [
  "responseSchema",
  "maxOutputTokens",
  "thinking",
  "temperature",
  "topP",
  "topK",
  "seed",
  "stopSequences",
  "safetySettings",
  "serviceTier",
  "cachedContent",
  "tools",
];
const spelt = (name: string) =>
  new RegExp(`\\b${name.replaceAll(/[A-Z]/g, (letter) => `[ _]?${letter}`)}`, "i");

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

/**
 * When Gemini wants to be asked again, in milliseconds and up to a tenth more, of the first of
 * these that says it: "36.4s", "5h36m3.2s", "812.3ms", or seconds or a date as in Retry-After.
 */
export function retryAfterMs(...spellings: (string | null | undefined)[]): number | undefined {
  for (const said of spellings) {
    const parts = /^(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)(?:s|(?=\.?$)))?(?:([\d.]+)ms)?\.?$/.exec(
      said ?? "",
    );
    const [hours = 0, minutes = 0, seconds = 0, ms = 0] = (parts ?? [])
      .slice(1)
      .map((part) => Number(part ?? 0));
    const all = parts
      ? ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms
      : Date.parse(said ?? "") - Date.now();
    if (said && all >= 0) {
      return Math.round(Math.min(all, 24 * 3_600_000) * (1 + Math.random() / 10));
    }
  }
  return undefined;
}
