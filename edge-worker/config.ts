// The worker's environment, parsed once. Every fault is named at once, and no value is ever shown.
import { z } from "zod";

/** Whether a text is a URL of one of these protocols whose user and password decode. */
function isUrl(text: string, protocols: string[]): boolean {
  try {
    const url = new URL(text);
    decodeURIComponent(url.username);
    decodeURIComponent(url.password);
    return protocols.includes(url.protocol);
  } catch {
    return false;
  }
}

/** Whether a URL of Postgres names a database; a driver would take the user's name for one. */
const namesDatabase = (text: string) => URL.canParse(text) && new URL(text).pathname.length > 1;

function isSafeBaseUrl(text: string): boolean {
  if (isUrl(text, ["https:"])) return true;
  if (!isUrl(text, ["http:"])) return false;
  return ["localhost", "127.0.0.1", "[::1]"].includes(new URL(text).hostname);
}

const whole = (least: number, most: number) => {
  const error = `must be a whole number from ${least} to ${most}`;
  return z.coerce.number({ error }).int({ error }).min(least, { error }).max(most, { error });
};

const levels = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;

const schema = z.object({
  DATABASE_URL: z
    .string({ error: "is missing: postgres://user:password@host:5432/database" })
    .refine((text) => isUrl(text, ["postgres:", "postgresql:"]), {
      error: "is no postgres:// URL; percent-encode special characters in its password",
    })
    .refine(namesDatabase, {
      error: "names no database: postgres://user:password@host:5432/database",
    }),
  GEMINI_API_KEY: z
    .string({ error: "is missing: a key of the Gemini API" })
    .regex(/^[\x21-\x7e]+$/, { error: "has characters that no key has" }),
  GEMINI_BASE_URL: z
    .string()
    .refine(isSafeBaseUrl, { error: "must be an https:// URL, or http:// on this machine" })
    .optional(),
  CONCURRENCY: whole(1, 256).default(4),
  POLL_INTERVAL_MS: whole(50, 3_600_000).default(5000),
  LOG_LEVEL: z.enum(levels, { error: `must be one of ${levels.join(", ")}` }).default("info"),
  HEALTH_PORT: whole(1, 65_535).optional(),
});

/** What the worker is told from outside. */
export type Config = z.infer<typeof schema>;

/** Parses the environment: the configuration, or one line for each variable that is wrong. */
export function parseConfig(
  env: Record<string, string | undefined>,
): { config: Config; faults: [] } | { config: null; faults: string[] } {
  const filled = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value.trim() !== ""),
  );
  const parsed = schema.safeParse(filled);
  if (parsed.success) return { config: parsed.data, faults: [] };
  const faults = new Map<string, string>();
  for (const issue of parsed.error.issues) {
    const name = String(issue.path[0]);
    if (!faults.has(name)) faults.set(name, `${name} ${issue.message}`);
  }
  return { config: null, faults: [...faults.values()] };
}
