// The store of blobs, and the only file that knows one: a folder of this machine, or an address
// that speaks S3. A blob is named by the URL that a row had; what does not lie in the store is
// refused. What is told of a failure has no name of a blob and no credential in it.
import { lstat, realpath, stat, unlink } from "node:fs/promises";
import { join, resolve } from "node:path";
import { AwsClient } from "aws4fetch";
import { unsent, words } from "./failure.ts";

/**
 * What became of a blob. gone: there was none. unknown: the store may have heard it, and may still
 * do it. defer: the store cannot be reached, or refuses all. transient: this blob could not be
 * deleted. rejected: it can never be, under this name.
 */
export type Deletion = {
  outcome: "deleted" | "gone" | "unknown" | "defer" | "transient" | "rejected";
  message?: string;
};

/** Deletes a blob once. Rejects with the signal's reason alone. */
export type Store = { delete(url: string, signal: AbortSignal): Promise<Deletion> };

export type StoreOptions = {
  /** A folder, or an http(s):// address. */
  store: string;
  /** What the URLs of blobs begin with, where that is not the address itself. */
  prefix?: string | undefined;
  credentials?:
    | { accessKeyId: string; secretAccessKey: string; sessionToken?: string | undefined }
    | undefined;
  region?: string | undefined;
};

/** Whether a store is an address, and not a folder. */
export const isAddress = (store: string) => /^https?:\/\//i.test(store);

/** Opens a store. Rejects with what is wrong with the folder. */
export async function openStore(options: StoreOptions): Promise<Store> {
  const { store } = options;
  const path = isAddress(store) ? undefined : resolve(store.replace(/^file:\/\//, ""));
  const own = path === undefined ? [store] : [path, `file://${path}`];
  const remove = path === undefined ? openAddress(options) : await openFolder(path);
  const keyOf = openNames(own, options.prefix);
  return {
    async delete(url, signal) {
      signal.throwIfAborted();
      const key = keyOf(url);
      if (key === undefined) return { outcome: "rejected", message: "it is not in the store" };
      if (!key.split("/").every(isSegment)) {
        return { outcome: "rejected", message: "its name leads elsewhere, or nowhere" };
      }
      return remove(key, signal);
    },
  };
}

const withoutSlash = (text: string) => text.replace(/\/+$/, "");
const isWhole = (url: string) => /^[a-z][a-z\d+.-]*:\/\//i.test(url);
/** As Postgres compares names: as texts, but for slashes before them. */
const nameOf = (url: string) => url.replace(/^\/+/, "");

/**
 * How the key of a blob is read from its URL: what is behind the store's own name, or a prefix.
 * What two rows may spell in two ways is refused, since Postgres would not know them as one.
 */
function openNames(own: string[], prefix = "") {
  const prefixes = [prefix, ...own]
    .map((one) => nameOf(withoutSlash(one)))
    .filter((one) => one !== "")
    .sort((one, other) => other.length - one.length);
  const isOfPaths = nameOf(prefix) !== "" && !isWhole(prefix);
  return (url: string): string | undefined => {
    const text = nameOf(url);
    const found = prefixes.find((one) => text.startsWith(`${one}/`));
    if (found === undefined) {
      // A path stands for itself, unless paths have a prefix.
      return isWhole(url) || isOfPaths ? undefined : text;
    }
    const rest = text.slice(found.length + 1);
    if (!isAddress(text)) return rest;
    try {
      const key = decodeURIComponent(rest);
      const spellings = [encodeStrictly, encodeURIComponent, encodeURI].map((encode) =>
        key.split("/").map(encode).join("/"),
      );
      return spellings.includes(rest) && !/[?#]/.test(rest) ? key : undefined;
    } catch {
      return undefined;
    }
  };
}

/** Whether a part of a key is a name: not empty, no way up, and nothing that cannot be seen. */
const isSegment = (part: string) => part !== "" && !/^\.\.?$|\p{Cc}/u.test(part);

async function openFolder(path: string): Promise<Store["delete"]> {
  const folder = await realpath(path).catch(() => "");
  /** Which folder is there; another one, or a link to one, is none of the blobs' fault. */
  const identity = async () => {
    const [found, real] = await Promise.all([stat(folder), realpath(folder)]).catch(() => []);
    return found?.isDirectory() && real === folder ? `${found.dev}/${found.ino}` : undefined;
  };
  const opened = folder && (await identity());
  if (!opened) throw new Error("is no folder that can be read");
  if (folder === "/") throw new Error("is the root of this machine");

  return async (key) => {
    const parts = key.split("/");
    const above = join(folder, ...parts.slice(0, -1));
    const file = join(folder, ...parts);
    let code = "";
    if ((await identity()) === opened) {
      try {
        if ((await realpath(above)) !== above || (await lstat(file)).isSymbolicLink()) {
          return { outcome: "rejected", message: "a symbolic link is on the way to it" };
        }
        if (!(await lstat(file)).isFile()) {
          return { outcome: "rejected", message: "it is no file" };
        }
        await unlink(file);
        return { outcome: "deleted" };
      } catch (error) {
        code = /^E[A-Z\d]+$/.exec(codeOf(error))?.[0] ?? "unknown";
      }
    }
    if ((await identity()) !== opened) {
      return { outcome: "defer", message: "the folder is not there, or another one" };
    }
    if (code === "ENOENT") return { outcome: "gone" };
    const outcome = /^(ENOTDIR|ENAMETOOLONG|EINVAL|ELOOP)$/.test(code)
      ? "rejected"
      : /^(EACCES|EPERM|EBUSY)$/.test(code)
        ? "transient"
        : "defer";
    return { outcome, message: `it cannot be deleted: ${code}` };
  };
}

/** Codes of S3 that may be told; of one blob, and of the store. */
const ownCodes = words("InvalidObjectState KeyTooLongError ObjectLocked OperationAborted");
const storeCodes = words(`AccessDenied AccountProblem AllAccessDisabled AuthorizationHeaderMalformed
  ExpiredToken InternalError InvalidAccessKeyId InvalidArgument InvalidRequest InvalidSecurity
  InvalidToken MethodNotAllowed NoSuchBucket NotImplemented PermanentRedirect RequestTimeTooSkewed
  RequestTimeout ServiceUnavailable SignatureDoesNotMatch SlowDown TemporaryRedirect
  TooManyRequests`);

function openAddress(options: StoreOptions): Store["delete"] {
  const { credentials = { accessKeyId: "", secretAccessKey: "" }, region } = options;
  const address = withoutSlash(options.store);
  const client = new AwsClient({
    accessKeyId: credentials.accessKeyId,
    secretAccessKey: credentials.secretAccessKey,
    ...(credentials.sessionToken ? { sessionToken: credentials.sessionToken } : {}),
    ...(region ? { region } : {}),
    service: "s3",
  });
  const asked = `DELETE ${new URL(address).host}`;

  return async (key, signal) => {
    const url = `${address}/${key.split("/").map(encodeStrictly).join("/")}`;
    let response: Response;
    try {
      const request = await client.sign(url, { method: "DELETE" });
      // Whoever answers with another address is given no credentials there.
      response = await fetch(request, { redirect: "manual", signal });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const code = /^[A-Z][A-Z\d_]{1,60}$/.exec(codeOf(error))?.[0];
      const outcome = unsent.test(code ?? "") ? "defer" : "unknown";
      return { outcome, message: `no answer${code ? ` (${code})` : ""}: ${asked}` };
    }
    const { status } = response;
    if (status === 204) {
      await response.body?.cancel().catch(() => {});
      return { outcome: "deleted" };
    }
    const code = /<Code>\s*([A-Za-z]{1,60})\s*<\/Code>/.exec(await readText(response))?.[1] ?? "";
    if (status === 404 && /^NoSuch(Key|Version)$/.test(code)) return { outcome: "gone" };
    const told = ownCodes.has(code) || storeCodes.has(code) ? ` ${code}` : "";
    const hint =
      status < 300
        ? ", where 204 was due: is that S3?"
        : status < 400
          ? ", a redirect: is its region right?"
          : status === 404 && told === ""
            ? ", without a reason: is that S3, and its bucket?"
            : "";
    return {
      outcome: ownCodes.has(code) ? "transient" : "defer",
      message: `${status}${told}${hint}: ${asked}`,
    };
  };
}

/** As S3 wants it signed: encodeURIComponent leaves some characters as they are. */
const encodeStrictly = (part: string) =>
  encodeURIComponent(part).replaceAll(
    /[!'()*]/g,
    (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`,
  );

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return "";
  return codeOf(error.cause) || ("code" in error ? String(error.code) : "");
}

/** The first words of a response. */
async function readText(response: Response): Promise<string> {
  let text = "";
  try {
    const decoder = new TextDecoder();
    for await (const part of response.body ?? []) {
      text += decoder.decode(part as Uint8Array, { stream: true });
      if (text.length > 10_000) break;
    }
  } catch {
    // Its status says what it means.
  }
  return text;
}
