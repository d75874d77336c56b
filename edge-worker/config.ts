// The worker's environment, parsed once. Every fault is named at once, and no value is ever shown.
import { z } from "zod";
import { isAddress } from "./blobs.ts";

const isLocal = (url: string) =>
  ["localhost", "127.0.0.1", "[::1]"].includes(new URL(url).hostname);

/**
 * An address of the API: where it ends in the version, as documentation has it, that is taken off.
 */
const baseUrl = z
  .string()
  .transform((text) => text.trim().replace(/\/*(\/v1beta\/*)?$/, ""))
  .superRefine((text, context) => {
    const fault = (message: string) => void context.addIssue({ code: "custom", message });
    if (!URL.canParse(text)) return fault("is no URL: https://host, without a path as a rule");
    const url = new URL(text);
    if (url.protocol !== "https:" && !(url.protocol === "http:" && isLocal(text))) {
      return fault("must be an https:// URL, or http:// on this machine");
    }
    if (url.username || url.password) return fault("must not hold a user or a password");
    if (/[?#]/.test(text)) return fault("must not hold a ? or a #");
    if (/\/(v\d\w*|models)(\/|$)/.test(url.pathname)) {
      return fault("must end before the version: the worker adds /v1beta/models/… itself");
    }
  });

/** The parts of a URL of Postgres that may stand for several servers, and what is around them. */
const databaseUrlParts =
  /^(postgres(?:ql)?:\/\/(?:[^@/?#]*@)?)([^@/?#]*)(\/[^/?#]*)?(?:\?([^#]*))?$/;

/** How psql understands sslmode, of which the driver knows no more than on and off. */
const sslModes: Record<string, string[]> = {
  disable: ["disable"],
  allow: ["disable", "require"],
  prefer: ["require", "disable"],
  require: ["require"],
  "verify-ca": ["verify-ca"],
  "verify-full": ["verify-full"],
};

/**
 * What the driver understands behind the ? as psql does, or does without; sslmode is dealt with.
 */
const settingsKnown = [
  ..."application_name client_encoding connect_timeout fallback_application_name host".split(" "),
  ..."options password port sslcert sslkey sslmode sslnegotiation sslrootcert user".split(" "),
];
const settingsLeft = [
  /^keepalives(_\w+)?=/,
  /^(gssencmode|channel_binding)=(disable|prefer)$/,
  /^target_session_attrs=(any|read-write|primary)$/,
  /^(load_balance_hosts=disable|uselibpqcompat=true)$/,
];

/**
 * The servers that psql would try for a URL, the first first; for each the ways to it: where TLS is
 * wished for and not needed, with it and without. Throws what is wrong in words without a value.
 */
export function serversOf(databaseUrl: string, sslmode = "prefer"): string[][] {
  const example = "postgres://user:password@host:5432/database";
  if (/^["']/.test(databaseUrl)) throw new Error("stands in quotes, which are no part of it");
  if (!/^postgres(ql)?:\/\//.test(databaseUrl)) throw new Error(`is no URL like ${example}`);
  const parts = databaseUrlParts.exec(databaseUrl);
  const [, before = "", hosts = "", path = "", query = ""] = parts ?? [];
  if (!parts || /[%\s]/.test(databaseUrl.replaceAll(/%[0-9A-Fa-f]{2}/g, ""))) {
    throw new Error(
      `cannot be read; percent-encode special characters in its password: ${example}`,
    );
  }
  if (path.length < 2) throw new Error(`names no database: ${example}`);
  const settings = new Map(new URLSearchParams(query)); // of two alike the last counts
  if (settings.get("ssl") === "true") settings.set("sslmode", "require");
  settings.delete("ssl");
  for (const [name, value] of settings) {
    if (settingsLeft.some((pattern) => pattern.test(`${name}=${value}`))) {
      settings.delete(name);
    } else if (!settingsKnown.includes(name)) {
      const what = /^[a-z_]{1,40}$/.test(name) ? name : "something";
      throw new Error(`asks for ${what}, which this driver cannot do, or not as it says there`);
    } else if (/^(host|port)$/.test(name) && value.includes(",")) {
      throw new Error(
        `names several servers behind ?${name}=: postgres://user@host1,host2/database`,
      );
    }
  }
  if (hosts === "" && !settings.has("host")) {
    throw new Error("names no host; a socket is named by ?host=/var/run/postgresql");
  }
  const isSocket = /^%2f/i.test(hosts) || settings.get("host")?.startsWith("/");
  const modes = isSocket ? ["disable"] : sslModes[settings.get("sslmode") ?? sslmode];
  if (!modes) throw new Error(`has an unknown sslmode: ${Object.keys(sslModes).join(", ")}`);
  // Node has a list of authorities of its own.
  if (settings.get("sslrootcert") === "system") settings.delete("sslrootcert");
  return hosts.split(",").map((host) =>
    modes.map((mode) => {
      const [, name, port] = /^(\[[0-9A-Fa-f:.]+\]|[^:[\]]*)(?::(\d{1,5}))?$/.exec(host) ?? [];
      if (name === undefined || Number(port ?? 1) < 1 || Number(port ?? 1) > 65_535) {
        throw new Error("has a host or a port that cannot be read; an IPv6 address stands in [ ]");
      }
      const all = new URLSearchParams([...settings]);
      all.set("sslmode", mode);
      all.set("uselibpqcompat", "true");
      return `${before}${host}${path}?${all}`;
    }),
  );
}

const databaseUrl = (sslmode: string | undefined) =>
  z
    .string({ error: "is missing: postgres://user:password@host:5432/database" })
    .transform((text, context) => {
      try {
        return serversOf(text.trim(), sslmode);
      } catch (error) {
        context.addIssue({ code: "custom", message: (error as Error).message });
        return z.NEVER;
      }
    });

const whole = (least: number, most: number) => {
  const error = `must be a whole number from ${least} to ${most}`;
  return z
    .string()
    .regex(/^\d+$/, { error })
    .transform(Number)
    .pipe(z.number().min(least, { error }).max(most, { error }));
};

const kinds = z
  .string()
  .transform((text) => text.split(/[\s,]+/).filter((kind) => kind !== ""))
  .refine((list) => list.length > 0 && list.every((kind) => /^[a-z][a-z0-9_]{0,62}$/.test(kind)), {
    error: "must be names of kinds with commas between: analyze_profile,archive_session",
  });

/** A folder, or the address of a bucket. */
const blobStore = z
  .string()
  .transform((text) => text.trim().replace(/(?<=.)\/+$/, ""))
  .superRefine((text, context) => {
    const fault = (message: string) => void context.addIssue({ code: "custom", message });
    const scheme = /^([a-z][a-z\d+.-]*):/i.exec(text)?.[1]?.toLowerCase();
    if (scheme === undefined || /^file:\/\/\//.test(text)) return;
    if (!isAddress(text)) {
      return fault("is neither a folder nor an address that speaks S3: https://host/bucket");
    }
    if (!URL.canParse(text)) return fault("is no URL: https://host/bucket");
    const url = new URL(text);
    if (url.protocol !== "https:" && !isLocal(text)) {
      return fault("must be an https:// URL, or http:// on this machine");
    }
    if (url.username || url.password) return fault("must not hold a user or a password");
    if (/[?#]/.test(text)) return fault("must not hold a ? or a #");
    if (text.includes("\\") || /\/(\.|%2e){1,2}(\/|$)/i.test(text)) {
      return fault("must not lead upwards");
    }
    // Without one, what looks like the name of a blob may be that of a bucket.
    if (url.pathname === "/" && !/^[^.]+\.s3[.-].*\.amazonaws\.com$/.test(url.hostname)) {
      return fault("names no bucket: https://host/bucket");
    }
  });

const levels = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;

const credential = z
  .string()
  .regex(/^[\x21-\x7e]+$/, { error: "has characters that no credential has" });
const region = z.string().regex(/^[a-z\d-]+$/i, { error: "must be a region: eu-central-1" });

const schema = (sslmode?: string) =>
  z.object({
    DATABASE_URL: databaseUrl(sslmode),
    GEMINI_API_KEY: z
      .string({ error: "is missing: a key of the Gemini API" })
      .regex(/^[\x21-\x7e]+$/, { error: "has characters that no key has" }),
    GEMINI_BASE_URL: baseUrl.optional(),
    CONCURRENCY: whole(1, 256).default(4),
    POLL_INTERVAL_MS: whole(50, 3_600_000).default(5000),
    KINDS: kinds.optional(),
    LEASE_MS: whole(10_000, 21_600_000).default(120_000),
    REQUEST_TIMEOUT_MS: whole(1000, 3_600_000).optional(),
    GRACE_MS: whole(100, 3_600_000).default(8000),
    LOG_LEVEL: z.enum(levels, { error: `must be one of ${levels.join(", ")}` }).default("info"),
    HEALTH_PORT: whole(1, 65_535).optional(),
    HEALTH_HOST: z
      .string()
      .regex(/^[\w.:-]+$/, { error: "must be an address of this machine: 0.0.0.0 for all" })
      .default("127.0.0.1"),
    BLOB_STORE: blobStore.optional(),
    BLOB_URL_PREFIX: z
      .string()
      .regex(/^[^\s?#]+$/, { error: "must be what the URLs of blobs begin with, without ? or #" })
      .optional(),
    AWS_ACCESS_KEY_ID: credential.optional(),
    AWS_SECRET_ACCESS_KEY: credential.optional(),
    AWS_SESSION_TOKEN: credential.optional(),
    AWS_REGION: region.optional(),
    AWS_DEFAULT_REGION: region.optional(),
  });

/** What the worker is told from outside. DATABASE_URL: the ways to each of its servers. */
export type Config = z.infer<ReturnType<typeof schema>>;

/** Parses the environment: the configuration, or one line for each variable that is wrong. */
export function parseConfig(
  env: Record<string, string | undefined>,
): { config: Config; faults: [] } | { config: null; faults: string[] } {
  const isNeeded = (name: string) =>
    !/^AWS_/.test(name) || isAddress(env["BLOB_STORE"]?.trim() ?? "");
  const filled = Object.fromEntries(
    Object.entries(env).filter(
      ([name, value]) => value !== undefined && value.trim() !== "" && isNeeded(name),
    ),
  );
  const parsed = schema(filled["PGSSLMODE"]).safeParse(filled);
  const faults = new Map<string, string>();
  for (const issue of parsed.error?.issues ?? []) {
    const name = String(issue.path[0]);
    if (!faults.has(name)) faults.set(name, `${name} ${issue.message}`);
  }
  if (isAddress(filled["BLOB_STORE"]?.trim() ?? "")) {
    for (const name of ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]) {
      if (!filled[name]) faults.set(name, `${name} is missing, which BLOB_STORE needs`);
    }
  }
  const checks = // whose certificates are to be looked at
    !isLocal(parsed.data?.GEMINI_BASE_URL ?? "https://gemini") ||
    /[?&]sslmode=verify/.test(String(parsed.data?.DATABASE_URL)) ||
    /^https:/i.test(filled["BLOB_STORE"]?.trim() ?? "");
  if (filled["NODE_TLS_REJECT_UNAUTHORIZED"] === "0" && checks) {
    faults.set(
      "NODE_TLS_REJECT_UNAUTHORIZED",
      "NODE_TLS_REJECT_UNAUTHORIZED=0 gives keys and passwords to whoever answers; an authority " +
        "of your own is trusted by NODE_EXTRA_CA_CERTS",
    );
  }
  return parsed.success && faults.size === 0
    ? { config: parsed.data, faults: [] }
    : { config: null, faults: [...faults.values()] };
}
