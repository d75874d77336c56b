// Stores for the tests: a folder with files, and a stand-in for what speaks S3, on loopback, which is strict about
// signatures.
// Run as a program it prints its address and keeps its objects as the files of a folder.
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const account = {
  id: "AKIAIOSFODNN7EXAMPLE",
  secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
};

export const credentials = { accessKeyId: account.id, secretAccessKey: account.secret };

/** A folder with some files, and a file beside it that nobody may touch. */
export function place() {
  const around = mkdtempSync(join(tmpdir(), "blobs-"));
  process.on("exit", () => rmSync(around, { recursive: true, force: true }));
  const folder = join(around, "store");
  mkdirSync(join(folder, "u1", "deep"), { recursive: true });
  for (const name of ["a.png", "u1/b.png", "u1/deep/c d.png", "u1/100%.png"])
    writeFileSync(join(folder, name), "x");
  writeFileSync(join(around, "secret"), "x");
  return { around, folder };
}

/** What it does with a request that it would grant. */
export type S3Reply =
  | "delete"
  | "delete and reset"
  | "reset"
  | "hang"
  | { status: number; code?: string; body?: string; location?: string };

export type S3 = {
  url: string;
  /** Method and decoded path of each request, refused ones too. */
  seen: string[];
  /** The headers of the last one. */
  headers: Record<string, unknown>;
  close(): Promise<void>;
};

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
const hmac = (key: string | Buffer, text: string) =>
  createHmac("sha256", key).update(text).digest();
const encode = (text: string) =>
  encodeURIComponent(text).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );

/** Why a request is refused, as S3 calls it; after the documentation of signature version 4. */
export function refusalOf(
  request: { method: string; url: string; headers: Record<string, string> },
  secret: string,
  now: number,
): string | undefined {
  const { headers } = request;
  const said =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([a-z\d-]+)\/s3\/aws4_request, ?SignedHeaders=([a-z\d;-]+), ?Signature=([\da-f]{64})$/.exec(
      headers["authorization"] ?? "",
    );
  if (!said) return headers["authorization"] ? "AuthorizationHeaderMalformed" : "AccessDenied";
  const [, id, day = "", region = "", signed = "", signature = ""] = said;
  if (id !== account.id) return "InvalidAccessKeyId";
  const names = signed.split(";");
  const date = headers["x-amz-date"] ?? "";
  const mustBeSigned = [
    "host",
    ...Object.keys(headers).filter((name) => name.startsWith("x-amz-")),
  ];
  if (!date.startsWith(day) || !mustBeSigned.every((name) => names.includes(name)))
    return "AccessDenied";
  const at = Date.parse(
    date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"),
  );
  if (!(Math.abs(at - now) < 15 * 60_000)) return "RequestTimeTooSkewed";
  const [path = "", query = ""] = request.url.split("?");
  const canonical = [
    request.method,
    path
      .split("/")
      .map((part) => encode(decodeURIComponent(part)))
      .join("/"),
    query,
    ...names.map((name) => `${name}:${(headers[name] ?? "").trim()}`),
    "",
    signed,
    headers["x-amz-content-sha256"] ?? "",
  ].join("\n");
  const scope = `${day}/${region}/s3/aws4_request`;
  const key = [region, "s3", "aws4_request"].reduce<Buffer>(hmac, hmac(`AWS4${secret}`, day));
  const right = hmac(key, ["AWS4-HMAC-SHA256", date, scope, sha256(canonical)].join("\n"));
  return timingSafeEqual(right, Buffer.from(signature, "hex"))
    ? undefined
    : "SignatureDoesNotMatch";
}

/** Starts a stand-in with the bucket "bucket"; remove deletes an object, and reply says what is done. */
export async function startS3(
  remove: (key: string) => void,
  reply: (key: string, nr: number) => S3Reply = () => "delete",
  options: { port?: number; token?: string; region?: string } = {},
): Promise<S3> {
  const s3: S3 = { url: "", seen: [], headers: {}, close: async () => {} };
  const server = createServer((request: IncomingMessage, response) => {
    const { method = "", url = "" } = request;
    const headers = request.headers as Record<string, string>;
    s3.seen.push(`${method} ${decodeURIComponent(url)}`);
    s3.headers = headers;
    const fail = (status: number, code: string) =>
      response
        .writeHead(status, { "content-type": "application/xml" })
        .end(
          `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>No</Message></Error>`,
        );
    const refusal = refusalOf({ method, url, headers }, account.secret, Date.now());
    if (refusal) return fail(refusal === "AuthorizationHeaderMalformed" ? 400 : 403, refusal);
    if (options.token && headers["x-amz-security-token"] !== options.token)
      return fail(400, "InvalidToken");
    if (options.region && !headers["authorization"]?.includes(`/${options.region}/s3/`)) {
      return fail(400, "AuthorizationHeaderMalformed");
    }
    const [, bucket, ...parts] = (url.split("?")[0] as string).split("/").map(decodeURIComponent);
    const key = parts.join("/");
    if (bucket !== "bucket") return fail(404, "NoSuchBucket");
    // The worst that could be asked for.
    if (method !== "DELETE" || key === "") return fail(405, "MethodNotAllowed");
    const doing = reply(key, s3.seen.length);
    if (doing === "hang") return;
    if (doing === "delete" || doing === "delete and reset") remove(key);
    if (doing === "delete") return response.writeHead(204).end();
    if (typeof doing === "string") return request.socket.destroy();
    if (doing.code) return fail(doing.status, doing.code);
    return response
      .writeHead(doing.status, doing.location ? { location: doing.location } : {})
      .end(doing.body);
  });
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, "127.0.0.1", resolve));
  s3.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/bucket`;
  s3.close = () =>
    new Promise((resolve) => {
      server.closeAllConnections();
      server.close(() => resolve());
    });
  return s3;
}

// As a program, for what kills servers: its moods change by the file "mood" beside the folder.
if (process.argv[1] === import.meta.filename) {
  const [folder = "", moods = "", port = "0"] = process.argv.slice(2);
  const bad: S3Reply[] = [
    "delete and reset",
    "reset",
    "hang",
    { status: 500, code: "InternalError" },
    { status: 503, code: "SlowDown" },
    { status: 403, code: "AccessDenied" },
    { status: 200, body: "<html>" },
    { status: 404, body: "<html>" },
    { status: 307, location: "http://127.0.0.1:1/bucket/other" },
  ];
  const s3 = await startS3(
    (key) => rmSync(join(folder, key), { force: true }),
    () =>
      existsSync(moods) && Math.random() < 0.5
        ? (bad[Math.floor(Math.random() * bad.length)] as S3Reply)
        : "delete",
    { port: Number(port) },
  );
  process.stdout.write(`${s3.url}\n`);
}
