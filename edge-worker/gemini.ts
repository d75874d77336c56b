// Gemini, and the only file that knows its SDK. A call is made once, to the address that is set and
// to nobody else, and ends in time; 10 MB of an answer are read at most. Of a failure nothing
// leaves this file but its class and what may be told to anybody: whom it asked, the status, and of
// reasons, quotas and delays those that are known. Never a word of the key, the prompt or the
// answer, whoever answers.
import { readFileSync } from "node:fs";
import { type IncomingMessage, request as requestPlainly } from "node:http";
import { request as requestByTls } from "node:https";
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
        const { text, usage } = read(response, request.model);
        return { text, usage: { ...usage, durationMs: durationMs() } };
      } catch (error) {
        const isAnswered = error instanceof ModelError || error instanceof Refusal;
        if (signal.aborted && !isAnswered) throw signal.reason;
        const failure =
          isTooLate && !isAnswered
            ? new ModelError("transient", `no answer within ${timeoutMs / 1000} seconds`)
            : failureOf(error, [apiKey, request.system, request.content]);
        const { host, pathname } = new URL(baseUrl);
        const asked = `POST ${host}${pathname.replace(/\/$/, "")}, ${request.model}`;
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
 * prompt, read whatever comes, and give up after five minutes. The SDK takes none as an option.
 * What a fetch throws it puts into words, and what reading an answer throws it hands on: so all of
 * the work is done while it reads.
 */
const sdk = (() => {
  const require = createRequire(import.meta.url);
  const filename = require.resolve("@google/generative-ai");
  const module = { exports: {} as typeof import("@google/generative-ai") };
  const parameters = ["module", "exports", "require", "fetch"];
  const run = compileFunction(readFileSync(filename, "utf8"), parameters, { filename });
  run(module, module.exports, require, async (url: string, init: Post) => ({
    ok: true,
    json: () => post(url, init),
  }));
  return module.exports;
})();

type Post = { headers: Headers; body: string; signal: AbortSignal };

/** What came back for an answer with another status than 200. */
class Refusal extends Error {
  readonly response: IncomingMessage;
  readonly body: string;

  constructor(response: IncomingMessage, body: string) {
    super();
    this.response = response;
    this.body = body;
  }
}

/** Sends a body once, and follows no redirect: the JSON object that is answered with 200. */
async function post(url: string, { headers, body, signal }: Post): Promise<object> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const send = url.startsWith("https:") ? requestByTls : requestPlainly;
    const request = send(url, { method: "POST", headers: Object.fromEntries(headers), signal });
    request.on("response", resolve).on("error", reject).end(body);
  });
  if (response.statusCode !== 200) {
    // Its status says what it means; of its words those that come in a moment.
    const timer = setTimeout(() => response.destroy(), 2000);
    const words = await readText(response, 100_000).catch(() => "");
    clearTimeout(timer);
    throw new Refusal(response, words);
  }
  const text = await readText(response, mostBytes);
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // The words of a parser are those that it could not read.
  }
  throw new ModelError("transient", "the response is no JSON object");
}

/** The body of a response, up to a length that none has that is meant. */
async function readText(response: IncomingMessage, most: number): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > most) throw new ModelError("transient", "an answer of more than 10 MB");
    parts.push(part);
  }
  // Without the mark that some put before it.
  return new TextDecoder().decode(Buffer.concat(parts));
}

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

/** The words of an enum. */
const words = (text: string) => new Set(text.split(/\s+/));

const finishReasons = words(`none STOP MAX_TOKENS SAFETY RECITATION LANGUAGE OTHER BLOCKLIST SPII
  PROHIBITED_CONTENT MALFORMED_FUNCTION_CALL IMAGE_SAFETY IMAGE_PROHIBITED_CONTENT IMAGE_OTHER
  IMAGE_RECITATION NO_IMAGE UNEXPECTED_TOOL_CALL TOO_MANY_TOOL_CALLS MISSING_THOUGHT_SIGNATURE
  MALFORMED_RESPONSE`);
const blockReasons = words("SAFETY OTHER BLOCKLIST PROHIBITED_CONTENT IMAGE_SAFETY JAILBREAK");
const blocked = words(`SAFETY RECITATION LANGUAGE BLOCKLIST PROHIBITED_CONTENT SPII NO_IMAGE
  IMAGE_SAFETY IMAGE_PROHIBITED_CONTENT IMAGE_OTHER IMAGE_RECITATION`);
/** Reasons that lie in the request: the same one would lead there again. */
const misled = words("TOO_MANY_TOOL_CALLS MISSING_THOUGHT_SIGNATURE");
const versions =
  /^(models\/)?gemini(-(\d[\d.]{0,9}|flash|lite|pro|ultra|nano|preview|exp|latest|image))+$/;

/** The answer of a response: whole, and without thoughts; or why there is none. */
function read(response: unknown, model: string): { text: string; usage: Usage } {
  const parsed = responseShape.safeParse(response);
  if (!parsed.success) {
    throw new ModelError("transient", "the response has another shape than Gemini's");
  }
  const { candidates, promptFeedback, usageMetadata, modelVersion } = parsed.data;
  const candidate = candidates?.[0];
  const said = candidate?.finishReason ?? "none";
  const reason = finishReasons.has(said) ? said : "that is not known";
  const counts = Object.entries({
    ...usageMetadata,
    finishReason: reason,
    modelVersion: modelVersion === model || versions.test(modelVersion ?? "") ? modelVersion : null,
  }).filter((entry): entry is [string, number | string] => entry[1] != null);
  const usage = Object.fromEntries(counts);
  const fail = (failureClass: FailureClass, message: string) =>
    new ModelError(failureClass, message, { usage });

  if (promptFeedback?.blockReason) {
    const block = promptFeedback.blockReason;
    const told = blockReasons.has(block) ? block : "for a reason that is not known";
    throw fail("blocked", `the prompt was blocked: ${told}`);
  }
  if (blocked.has(reason)) throw fail("blocked", `the answer was blocked: ${reason}`);
  if (misled.has(reason)) throw fail("rejected", `the request has led to ${reason}`);
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
              .array(z.object({ quotaId: aText, quotaValue: aText }))
              .nullish()
              .catch(undefined),
          })
          .catch({}),
      )
      .nullish()
      .catch(undefined),
  }),
});

/** Reasons of google.rpc.ErrorInfo that are known to come with a refusal. */
const knownReasons = words(`API_KEY_INVALID API_KEY_EXPIRED API_KEY_SERVICE_BLOCKED
  API_KEY_HTTP_REFERRER_BLOCKED API_KEY_IP_ADDRESS_BLOCKED API_KEY_ANDROID_APP_BLOCKED
  API_KEY_IOS_APP_BLOCKED ACCESS_TOKEN_TYPE_UNSUPPORTED ACCESS_TOKEN_EXPIRED ACCOUNT_STATE_INVALID
  BILLING_DISABLED CONSUMER_INVALID CONSUMER_SUSPENDED CREDENTIALS_MISSING LOCATION_POLICY_VIOLATED
  MODEL_CAPACITY_EXHAUSTED RATE_LIMIT_EXCEEDED RESOURCE_QUOTA_EXCEEDED SERVICE_DISABLED
  SERVICE_NOT_AVAILABLE USER_PROJECT_DENIED`);
/** What the names of quotas are made of: GenerateRequestsPerMinutePerProjectPerModel-FreeTier. */
const quotaNames = new RegExp(
  `^(${[
    "Generate|Content|Requests|Input|Output|Tokens|Per|Second|Minute|Hour|Day|Month",
    "Project|Model|Base|User|Region|-|Free|Paid|Tier|[0-9]",
  ].join("|")})+$`,
);

/** Errors of the way to it: nothing was sent yet. */
const unsent = new RegExp(
  `^(${[
    "ECONNREFUSED|ENOTFOUND|EAI_\\w+|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|EACCES|EPERM|EPROTO",
    "\\w*CERT\\w*|ERR_TLS_\\w+|ERR_SSL_\\w+",
  ].join("|")})$`,
);

/** What an error of a call means, and what may be told of it. */
function failureOf(error: unknown, sent: string[]): ModelError {
  if (error instanceof ModelError) return error;
  if (error instanceof Refusal) return refusalOf(error, sent);
  // Node's words for it may be those of the other side; its code is Node's own.
  const code = /^[A-Z][A-Z0-9_]{1,60}$/.exec(codeOf(error) ?? "")?.[0];
  if (!code) return new ModelError("transient", "the call failed in an unknown way");
  const isRead = error instanceof Error && "syscall" in error && error.syscall === "read";
  return unsent.test(code) && !isRead
    ? new ModelError("defer", `no connection (${code})`)
    : // It may have been answered, and may be billed.
      new ModelError("transient", `the connection broke (${code})`);
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  return codeOf(error.cause) ?? ("code" in error ? String(error.code) : undefined);
}

/** Whether a text holds eight letters and digits in a row of what was sent, however it is spelt. */
function holdsSent(text: string, sent: string[]): boolean {
  const bare = (of: string) => of.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
  const low = bare(text);
  return sent.some((part) => {
    const from = bare(part);
    for (let i = 0; i + 8 <= low.length; i += 1) {
      if (from.includes(low.slice(i, i + 8))) return true;
    }
    return false;
  });
}

function refusalOf({ response, body }: Refusal, sent: string[]): ModelError {
  const { statusCode: status = 0, headers } = response;
  if (status < 400) {
    const location = headers.location ?? "";
    const place = URL.canParse(location) ? new URL(location).host : "";
    const told = place && place.length <= 100 && !holdsSent(place, sent) ? ` to ${place}` : "";
    return new ModelError("configuration", `${status}, a redirect${told}`);
  }
  const { error } = errorShape.safeParse(parseJson(body)).data ?? { error: null };
  const code = codes.has(error?.status ?? "") ? error?.status : undefined;
  const said = error?.message ?? "";
  const details = (error?.details ?? []).flatMap((detail) => {
    const type = /\.(ErrorInfo|QuotaFailure|RetryInfo)$/.exec(detail["@type"] ?? "")?.[1];
    if (!type) return [];
    return {
      "@type": type,
      reason: knownReasons.has(detail.reason ?? "") ? detail.reason : undefined,
      retryDelay: /^[\d.hms]{1,30}$/.exec(detail.retryDelay ?? "")?.[0],
      violations: detail.violations?.slice(0, 10).map(({ quotaId, quotaValue }) => ({
        quotaId: quotaNames.test(quotaId ?? "")
          ? quotaId
          : /Per(Day|Minute)/.exec(quotaId ?? "")?.[0],
        quotaValue: /^\d{1,9}$/.exec(quotaValue ?? "")?.[0],
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
          headers["retry-after"],
        ),
      },
    );

  if ([429, 503, 499].includes(status)) return as("defer");
  if (status === 404 && code) return as("gone", "no such model");
  if ([401, 402, 403, 404, 405, 407, 451].includes(status)) {
    return as("configuration", code ? "the key, or its project" : "no Gemini at GEMINI_BASE_URL");
  }
  if (status === 413) return as("too_large");
  if (status === 400) {
    if (reasons.includes("API_KEY_INVALID") || /^API key (not valid|expired)/.test(said)) {
      return as("configuration", "the key is not valid");
    }
    if (code === "FAILED_PRECONDITION" && /^User location is not supported/.test(said)) {
      return as("configuration", "not from this place");
    }
    if (code === "FAILED_PRECONDITION" && /billing/i.test(said)) {
      return as("configuration", "billing");
    }
    if (/^The input token count .* exceeds the maximum|payload size exceeds the limit/.test(said)) {
      return as("too_large", "too large");
    }
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
