// Gemini, and the only file that knows its SDK. It repairs what the SDK leaves open: timers that
// never end, signals that are not heard, causes that are lost, truncated texts that look whole,
// thoughts that are mixed into the answer. Every failure leaves as a ModelError with its class.
import { GoogleGenerativeAI, type ResponseSchema } from "@google/generative-ai";
import { z } from "zod";
import type { FailureClass, Request } from "./queue.ts";

export type Usage = Record<string, unknown>;

/** A call that gave no answer to use. */
export class ModelError extends Error {
  readonly failureClass: FailureClass;
  readonly retryAfterMs: number | undefined;
  readonly usage: Usage | undefined;
  readonly details: unknown;

  constructor(
    failureClass: FailureClass,
    message: string,
    more: { retryAfterMs?: number; usage?: Usage; details?: unknown } = {},
  ) {
    super(message.slice(0, 500));
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

const blocked = /^(SAFETY|RECITATION|LANGUAGE|BLOCKLIST|PROHIBITED_CONTENT|SPII|IMAGE_SAFETY)$/;

const responseShape = z.object({
  candidates: z
    .array(
      z.object({
        finishReason: z.string().nullish(),
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
  promptFeedback: z.object({ blockReason: z.string().nullish() }).nullish(),
  // What is wrong about these costs no answer.
  usageMetadata: z.record(z.string(), z.unknown()).nullish().catch(null),
  modelVersion: z.string().nullish().catch(null),
});

const errorShape = z.object({
  status: z.number(),
  message: z.string(),
  errorDetails: z.array(z.record(z.string(), z.unknown())).optional().catch(undefined),
});

/** Opens Gemini. */
export function openGemini(options: { apiKey: string; baseUrl?: string | undefined }): Model {
  keepCauses();
  const client = new GoogleGenerativeAI(options.apiKey);

  return {
    async ask(request, signal) {
      signal.throwIfAborted();
      const started = performance.now();
      const usage = (metadata?: Usage | null): Usage => ({
        ...metadata,
        durationMs: Math.round(performance.now() - started),
      });
      // A controller of our own for each call, cleared in any case: the SDK's timer never is.
      const timeout = new AbortController();
      const timer = setTimeout(() => timeout.abort(), request.timeout_ms);
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
          options.baseUrl === undefined ? {} : { baseUrl: options.baseUrl },
        );
        const { response } = await model.generateContent(
          { ...request.request, contents: [{ role: "user", parts: [{ text: request.content }] }] },
          { signal: AbortSignal.any([signal, timeout.signal]) },
        );
        return read(response, usage);
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        if (timeout.signal.aborted) {
          const seconds = request.timeout_ms / 1000;
          throw new ModelError("transient", `no answer within ${seconds} seconds`, {
            usage: usage(),
          });
        }
        if (error instanceof ModelError) throw error;
        throw classify(error, options.apiKey, usage());
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

/** The answer of a response: whole, and without thoughts; or why there is none. */
function read(response: unknown, usage: (metadata?: Usage | null) => Usage) {
  const parsed = responseShape.safeParse(response);
  if (!parsed.success) {
    throw new ModelError("transient", "the response has another shape than Gemini's", {
      usage: usage(),
    });
  }
  const candidate = parsed.data.candidates?.[0];
  const reason = candidate?.finishReason ?? "none";
  const used = usage({
    ...parsed.data.usageMetadata,
    finishReason: reason,
    modelVersion: parsed.data.modelVersion,
  });
  const block = parsed.data.promptFeedback?.blockReason;
  if (block) throw new ModelError("blocked", `the prompt was blocked: ${block}`, { usage: used });
  if (blocked.test(reason)) {
    throw new ModelError("blocked", `the answer was blocked: ${reason}`, { usage: used });
  }
  const text = (candidate?.content?.parts ?? [])
    .filter((part) => !part.thought)
    .map((part) => part.text ?? "")
    .join("");
  if (reason !== "STOP" || text === "") {
    const what = text === "" ? "no text" : "a text that was cut";
    // A model that says nothing and does not say why is out of order.
    const isSilent = text === "" && !["STOP", "MAX_TOKENS"].includes(reason);
    throw new ModelError(
      isSilent ? "transient" : "bad_output",
      `${what}, finish reason ${reason}`,
      {
        usage: used,
      },
    );
  }
  return { text, usage: used };
}

/** What an error of the SDK means. */
function classify(error: unknown, apiKey: string, usage: Usage): ModelError {
  const said = describeError(error)
    .replace(/^\[GoogleGenerativeAI Error\]: /, "")
    .replaceAll(apiKey, "(key)");
  const parsed = errorShape.safeParse(error);
  if (!parsed.success) {
    // No status: the request did not arrive, or what came back was no JSON.
    // The words of a parser are those that it could not read.
    return error instanceof SyntaxError
      ? new ModelError("transient", "the response is no JSON", { usage })
      : new ModelError("defer", said, { usage });
  }
  const { status, errorDetails = [] } = parsed.data;
  // The words of the server behind the SDK's own, which begin with the address.
  const message = `${status}: ${said.replace(/^.*?: \[\d+[^\]]*\]\s*/s, "")}`;
  const details = errorDetails.length > 0 ? errorDetails : undefined;
  const as = (failureClass: FailureClass, retryAfterMs?: number) =>
    new ModelError(failureClass, message, {
      usage,
      details,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });
  const reasons = errorDetails.map((detail) => String(detail["reason"] ?? ""));

  if ([429, 503, 499].includes(status)) {
    return as("defer", retryAfterMs(JSON.stringify(errorDetails) + said));
  }
  if (status === 404) return as("gone");
  if (status === 401 || status === 403) return as("configuration");
  if (status === 400) {
    if (reasons.includes("API_KEY_INVALID") || /API key not valid/.test(said)) {
      return as("configuration");
    }
    if (/User location is not supported|billing/i.test(said)) return as("configuration");
    if (/token count .*exceeds|too (large|long)/i.test(said)) return as("too_large");
    return as("rejected");
  }
  if (status === 413) return as("too_large");
  if (status >= 400 && status < 500 && status !== 408) return as("rejected");
  return as("transient");
}

/**
 * When Gemini wants to be asked again, in milliseconds and up to a tenth more, of texts with
 * "36.4s", "5h36m3.2s" or "812.3ms" in them; undefined where it does not say.
 */
export function retryAfterMs(said: string): number | undefined {
  const delay = /"retryDelay":"([^"]*)"/.exec(said)?.[1] ?? /retry in ([\dhms.]+)/.exec(said)?.[1];
  const parts = /^(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:([\d.]+)ms)?\.?$/.exec(delay ?? "");
  if (!delay || !parts) return undefined;
  const [hours = 0, minutes = 0, seconds = 0, ms = 0] = parts.slice(1).map((n) => Number(n ?? 0));
  const all = ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms;
  return Number.isFinite(all)
    ? Math.round(Math.min(all, 24 * 3_600_000) * (1 + Math.random() / 10))
    : undefined;
}

/** An error in words, with the causes that Node hides: a refused connection may have no message. */
export function describeError(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) {
    return [...new Set(error.errors.map(describeError))].join("; ");
  }
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? "" : describeError(error.cause);
  return cause === "" || error.message.includes(cause)
    ? error.message
    : `${error.message}: ${cause}`;
}

let keepsCauses = false;

/** The SDK keeps only the message of a failed fetch, "fetch failed": this puts its cause there. */
function keepCauses() {
  if (keepsCauses) return;
  keepsCauses = true;
  const plain = globalThis.fetch;
  globalThis.fetch = async (...parameters) => {
    try {
      return await plain(...parameters);
    } catch (error) {
      if (error instanceof TypeError && error.cause !== undefined) {
        throw new TypeError(describeError(error), { cause: error.cause });
      }
      throw error;
    }
  };
}
