// A road to Postgres that can be cut, frozen, and refuse, at any moment or at a call that is named;
// and that can ask for TLS, with a certificate that nobody vouches for.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TLSSocket } from "node:tls";

/** What becomes of the next messages to Postgres that hold a word. */
export type Trap = {
  word: string;
  /**
   * Cut before Postgres hears it, or when its answer comes; or an error that Postgres never raised.
   */
  does: "cut before" | "cut after" | { sqlstate: string };
  times: number;
};

export type Proxy = {
  port: number;
  /** The same URL by this road. */
  url(databaseUrl: string): string;
  trap(trap: Trap): void;
  /** How often the traps were sprung. */
  sprung(): number;
  /** How many connections came without TLS where it is asked for. */
  plain(): number;
  cut(): void;
  /** Nothing goes either way any more, and nobody is told: a connection that is half open. */
  freeze(isFrozen: boolean): void;
  refuse(isRefusing: boolean): void;
  /** So many handshakes of TLS come to nothing. */
  breakTls(times: number): void;
  close(): Promise<void>;
};

/** A key and a certificate of a minute's work, for 127.0.0.1. */
export function selfSigned(): { key: string; cert: string; certFile: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), "tls-"));
  const keyFile = join(folder, "key.pem");
  const certFile = join(folder, "cert.pem");
  execFileSync(
    "openssl",
    [
      ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(" "),
      ...["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"],
      ...["-keyout", keyFile, "-out", certFile],
    ],
    { stdio: "ignore" },
  );
  return {
    key: readFileSync(keyFile, "utf8"),
    cert: readFileSync(certFile, "utf8"),
    certFile,
    remove: () => rmSync(folder, { recursive: true }),
  };
}

/** An error as Postgres sends it, and that it is ready for the next. */
function errorMessage(sqlstate: string): Buffer {
  const fields = Buffer.from(`SERROR\0C${sqlstate}\0Mmade up by the road\0\0`);
  const error = Buffer.alloc(5 + fields.length);
  error.write("E");
  error.writeInt32BE(4 + fields.length, 1);
  fields.copy(error, 5);
  return Buffer.concat([error, Buffer.from([0x5a, 0, 0, 0, 5, 0x49])]);
}

/** Opens a road to the server of a URL. */
export async function openProxy(
  databaseUrl: string,
  tls?: { key: string; cert: string; takesPlain?: boolean },
): Promise<Proxy> {
  const target = new URL(databaseUrl);
  const pairs = new Set<Socket[]>();
  const traps: Trap[] = [];
  let sprung = 0;
  let plain = 0;
  let isFrozen = false;
  let isRefusing = false;
  let toBreak = 0;

  function sprungBy(data: Buffer): Trap | undefined {
    const trap = traps.find(({ word, times }) => times > 0 && data.includes(word));
    if (!trap) return undefined;
    trap.times -= 1;
    sprung += 1;
    return trap;
  }

  function join(near: Socket, first?: Buffer) {
    const far = connect({ host: target.hostname, port: Number(target.port) || 5432 });
    const pair = [near, far];
    let isCutAtAnswer = false;
    pairs.add(pair);
    const end = () => {
      pairs.delete(pair);
      for (const socket of pair) socket.destroy();
    };
    for (const socket of pair) socket.on("close", end).on("error", end);
    near.on("data", (data) => {
      if (isFrozen) return;
      const trap = sprungBy(data);
      if (trap?.does === "cut before") return end();
      if (trap?.does === "cut after") isCutAtAnswer = true;
      if (typeof trap?.does === "object") return void near.write(errorMessage(trap.does.sqlstate));
      far.write(data);
    });
    far.on("data", (data) => {
      if (isFrozen) return;
      if (isCutAtAnswer) return end();
      near.write(data);
    });
    if (first) far.write(first);
  }

  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    if (isRefusing) return void socket.destroy();
    if (!tls) return join(socket);
    // The first message asks for TLS, or begins without it.
    socket.once("data", (first) => {
      if (first.length !== 8 || first.readInt32BE(4) !== 80877103) {
        plain += 1;
        if (!tls.takesPlain) return void socket.end(errorMessage("28000"));
        return join(socket, first);
      }
      if (toBreak > 0) {
        toBreak -= 1;
        return void socket.resetAndDestroy();
      }
      socket.write("S");
      join(new TLSSocket(socket, { isServer: true, ...tls }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const cut = () => {
    for (const sockets of pairs) for (const socket of sockets) socket.destroy();
  };
  return {
    port,
    url(databaseUrl) {
      const url = new URL(databaseUrl);
      url.host = `127.0.0.1:${port}`;
      return url.href;
    },
    trap: (trap) => void traps.push(trap),
    sprung: () => sprung,
    plain: () => plain,
    cut,
    freeze(value) {
      isFrozen = value;
    },
    refuse(value) {
      isRefusing = value;
      if (value) cut();
    },
    breakTls(times) {
      toBreak = times;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        cut();
      }),
  };
}

/** Whether there is a pgbouncer to be started. */
export const hasPooler = existsSync("/usr/sbin/pgbouncer");

/** Starts a pgbouncer in transaction mode before the database of a URL, for its login. */
export async function openPooler(
  databaseUrl: string,
): Promise<{ url: string; close(): Promise<void> }> {
  const url = new URL(databaseUrl);
  const name = url.pathname.slice(1);
  const folder = mkdtempSync(join(tmpdir(), "pooler-"));
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  writeFileSync(join(folder, "users.txt"), `"${url.username}" "${url.password}"\n`);
  writeFileSync(
    join(folder, "pgbouncer.ini"),
    `[databases]
${name} = host=${url.hostname} port=${url.port} dbname=${name}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${folder}/users.txt
pool_mode = transaction
default_pool_size = 4
`,
  );
  const isRoot = process.getuid?.() === 0;
  if (isRoot) execFileSync("chown", ["-R", "postgres", folder]);
  const child = spawn(
    "/usr/sbin/pgbouncer",
    ["-q", ...(isRoot ? ["-u", "postgres"] : []), join(folder, "pgbouncer.ini")],
    { stdio: "ignore", cwd: "/" },
  );
  const exit = new Promise((resolve) => child.on("exit", resolve));
  for (let tried = 0; tried < 100; tried += 1) {
    const socket = connect({ host: "127.0.0.1", port });
    const isThere = await new Promise((resolve) => {
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    });
    socket.destroy();
    if (isThere) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  url.host = `127.0.0.1:${port}`;
  return {
    url: url.href,
    async close() {
      child.kill("SIGKILL");
      await exit;
      rmSync(folder, { recursive: true });
    },
  };
}
