// Gemini, and the only file that knows its SDK. A call is made once, to the address that is set and
// to nobody else, and ends in time; 10 MB of an answer are read at most. A failure leaves this file
// as a ModelError, of which each word may be told (failure.ts).
import { readFileSync } from "node:fs";
import { type IncomingMessage, request as requestPlainly } from "node:http";
import { request as requestByTls } from "node:https";
import { createRequire } from "node:module";
import { compileFunction } from "node:vm";
import type { ResponseSchema } from "@google/generative-ai";
import { z } from "zod";
import { failureOf, ModelError, Refusal, type Usage, words } from "./failure.ts";
import type { FailureClass, Request } from "./queue.ts";

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
