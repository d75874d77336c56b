// The way to Postgres: the servers of DATABASE_URL, with and without TLS, and connections to them;
// and what an error on that way is worth, in tries and in words.
import { Client, DatabaseError, Pool, type PoolClient } from "pg";
import { z } from "zod";

/**
 * How often the same call is worth making. What is in the way of a connection, a lock and an
 * emergency stop (PM026) pass;
 * what comes of the statement itself, or of a fault inside of Postgres, may; a missing right, a
 * password and a value of another shape stay as they are.
 */
export function triesOf(error: unknown): number {
  if (error instanceof z.ZodError) return 1;
  if (error instanceof DatabaseError) {
    if (/^(57014|53400|58|XX)/.test(error.code ?? "")) return 5;
    return /^(08|25|40|53|55|57|PM026)/.test(error.code ?? "") ? Number.POSITIVE_INFINITY : 1;
  }
  return isRefusedTls(error) || /^SASL/.test(describeError(error)) || /CERT/.test(codeOf(error))
    ? 1
    : Number.POSITIVE_INFINITY;
}

const codeOf = (error: unknown) =>
  error instanceof Error && "code" in error ? String(error.code) : "";
const isRefusedTls = (error: unknown) => /does not support SSL/.test(describeError(error));

/** Whether Postgres may have heard of a call although there is no answer. */
export const mayBeHeard = (error: unknown) =>
  !(error instanceof DatabaseError) && !(error instanceof Error && unsent.has(error));
const unsent = new WeakSet<Error>();

/**
 * An error in words, with the causes that Node hides: a refused connection may have no message.
 * What Postgres says of values may hold an answer: of those its SQLSTATE.
 */
export function describeError(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) {
    return [...new Set(error.errors.map(describeError))].join("; ");
  }
  if (error instanceof z.ZodError)
    return "Postgres answers in another shape than this worker knows";
  if (error instanceof DatabaseError) {
    // What ends a session is the server's own; of classes 40 to 57 else it may be somebody's RAISE.
    return error.severity === "FATAL" || /^(PM|25|3D|3F|42)/.test(error.code ?? "")
      ? [error.message, error.hint].filter(Boolean).join("; ")
      : `SQLSTATE ${error.code}`;
  }
  return error instanceof Error
    ? error.message || String(error.cause ?? error.name)
    : String(error);
}

/** Whether the next way to the same server may do: it takes no TLS, or nothing without. */
const isOtherWay = (error: unknown) =>
  isRefusedTls(error) || (error instanceof DatabaseError && error.code === "28000");

/** Whether the next server may do: this one is not there, or only reads. */
const isElsewhere = (error: unknown) =>
  error instanceof DatabaseError
    ? /^(25006|53300|57P0\d)$/.test(error.code ?? "")
    : describeError(error) !== "timeout exceeded when trying to connect"; // all are in use

/** What a connection is for: an answer may wait for a lock, and what keeps leases must not. */
export type Purpose = "answers" | "leases";

/** Of several servers the one that takes changes is meant. */
function refuseStandby(client: PoolClient, done: (error?: Error) => void) {
  client
    .query("show transaction_read_only")
    .then(
      ({ rows }) =>
        done(rows[0].transaction_read_only === "on" ? new Error("it only reads") : undefined),
      done,
    );
}

/**
 * Opens pools of connections to the servers of DATABASE_URL, parsed: to the one that worked last,
 * and where it is gone, the next. None is held between two calls. Close them with end().
 */
export function openPools(servers: string[][], connections: number) {
  let current = 0;

  function openPool(connectionString: string, max: number) {
    new Client({ connectionString }); // it reads what the URL names, and says what is not there
    const seconds = Number(/[?&]connect_timeout=(\d+)/.exec(connectionString)?.[1] ?? 0);
    const pool = new Pool({
      connectionString,
      max,
      application_name: "edge-worker",
      connectionTimeoutMillis: seconds > 0 ? Math.max(2, seconds) * 1000 : 10_000,
      query_timeout: 60_000,
      keepAlive: true,
      ...(servers.length > 1 ? { verify: refuseStandby } : {}),
    });
    // A connection that breaks is replaced at the next call, which reports what is wrong.
    pool.on("error", () => {});
    pool.on("connect", (client) => client.on("error", () => {}));
    return pool;
  }
  // Answers may wait for locks: what keeps the leases, and asks for more, has its own connections.
  const pools = servers.map((ways) => ({
    answers: ways.map((way) => openPool(way, connections)),
    leases: ways.map((way) => openPool(way, 2)),
  }));

  /** A connection by the first way that is open; each new one tries them anew. */
  async function connectTo(ways: Pool[]): Promise<PoolClient> {
    const open = ways.find((pool) => pool.idleCount > 0);
    if (open) return open.connect();
    for (const pool of ways.slice(0, -1)) {
      try {
        return await pool.connect();
      } catch (error) {
        if (!isOtherWay(error)) throw error;
      }
    }
    return (ways.at(-1) as Pool).connect();
  }

  async function connect(purpose: Purpose): Promise<PoolClient> {
    for (let tried = 1; ; tried += 1) {
      const chosen = current;
      try {
        return await connectTo((pools[chosen] as (typeof pools)[number])[purpose]);
      } catch (error) {
        if (error instanceof Error) unsent.add(error);
        if (!isElsewhere(error)) throw error;
        if (current === chosen) current = (chosen + 1) % pools.length;
        if (tried === pools.length) throw error;
      }
    }
  }

  return {
    /** The rows of a statement, and what it raised as notices. */
    async query(sql: string, parameters: unknown[], purpose: Purpose = "answers") {
      const client = await connect(purpose);
      const notices: { message: string; detail: string }[] = [];
      const hear = (notice: { message: string | undefined; detail: string | undefined }) => {
        notices.push({ message: notice.message ?? "", detail: notice.detail ?? "" });
      };
      client.on("notice", hear);
      try {
        const { rows } = await client.query<Record<string, unknown>>(sql, parameters);
        client.off("notice", hear);
        client.release();
        return { rows, notices };
      } catch (error) {
        client.release(true);
        throw error;
      }
    },

    end: () =>
      Promise.all(
        pools.flatMap(({ answers, leases }) => [...answers, ...leases].map((pool) => pool.end())),
      ),
  };
}
