// What a call that failed means, and what of it may be told to anybody: whom it asked, the status,
// and of reasons, quotas and delays those that are known. Never a word of the key, the prompt or
// the answer, whoever answers.
import type { IncomingMessage } from "node:http";
import { z } from "zod";
import type { FailureClass } from "./queue.ts";

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

/** What came back for an answer with another status than 200. */
export class Refusal extends Error {
  readonly response: IncomingMessage;
  readonly body: string;

  constructor(response: IncomingMessage, body: string) {
    super();
    this.response = response;
    this.body = body;
  }
}

/** The words of an enum. */
export const words = (text: string) => new Set(text.split(/\s+/));

const aText = z.string().nullish().catch(undefined);

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
export const unsent = new RegExp(
  `^(${[
    "ECONNREFUSED|ENOTFOUND|EAI_\\w+|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|EACCES|EPERM|EPROTO",
    "\\w*CERT\\w*|ERR_TLS_\\w+|ERR_SSL_\\w+",
  ].join("|")})$`,
);

/** What an error of a call means, and what may be told of it. */
export function failureOf(error: unknown, sent: string[]): ModelError {
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
