// The six functions of Postgres that the worker may call, and where they are: the only SQL there
// is.
import { Client, DatabaseError, Pool, type PoolClient, type QueryResultRow } from "pg";
import { z } from "zod";

/** What this worker calls. A database of another release that has them all can be worked for. */
const doors = [
  "claim_tasks(text, integer, interval, jsonb)",
  "task_request(bigint, uuid)",
  "extend_lease(bigint, uuid, interval)",
  "complete_task(bigint, uuid, text, jsonb)",
  "fail_task(bigint, uuid, text, text, interval, jsonb, jsonb)",
  "release_task(bigint, uuid)",
];

const taskRow = z.object({
  task_id: z.string(),
  kind: z.string(),
  lease_token: z.string(),
  attempt: z.number(),
});

const requestValue = z.object({
  model: z.string(),
  system: z.string(),
  content: z.string(),
  response_schema: z.record(z.string(), z.unknown()),
  max_output_tokens: z.number(),
  generation: z.record(z.string(), z.unknown()),
  request: z.record(z.string(), z.unknown()),
  timeout_ms: z.number(),
  wait_ms: z.number(),
});

const outcomeValue = z.object({
  state: z.string(),
  available_at: z.string().nullish(),
});

/** A task that is leased to this worker. The lease token opens everything else. */
export type Task = z.infer<typeof taskRow>;
/** What a model is to be asked: after wait_ms, and its answer is waited for during timeout_ms. */
export type Request = z.infer<typeof requestValue>;
/**
 * What was claimed, and for how long the oldest due task has been due; and, where there is nothing
 * although tasks are due, why that is.
 */
export type Claimed = { tasks: Task[]; held: string; dueSeconds: number };
/** What became of a task; available_at where it is ready again. */
export type Outcome = z.infer<typeof outcomeValue>;

/** How a call failed; what follows from it is decided in Postgres. */
export type FailureClass =
  | "transient"
  | "defer"
  | "gone"
  | "configuration"
  | "rejected"
  | "blocked"
  | "bad_output"
  | "too_large";

export type Failure = {
  failureClass: FailureClass;
  message: string;
  retryAfterMs?: number | undefined;
  usage?: Record<string, unknown> | undefined;
  details?: unknown;
};

export type Queue = ReturnType<typeof openQueue>;

/** The lease token is not the one that holds the task any more (PM014): drop the work. */
export const isLeaseLost = (error: unknown) =>
  typeof error === "object" && error !== null && "code" in error && error.code === "PM014";

/**
 * How often the same call is worth making. What is in the way of a connection, and a lock, pass;
 * what comes of the statement itself, or of a fault inside of Postgres, may; a missing right, a
 * password and a value of another shape stay as they are.
 */
export function triesOf(error: unknown): number {
  if (error instanceof z.ZodError) return 1;
  if (error instanceof DatabaseError) {
    if (/^(57014|53400|58|XX)/.test(error.code ?? "")) return 5;
    return /^(08|25|40|53|55|57)/.test(error.code ?? "") ? Number.POSITIVE_INFINITY : 1;
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

const json = (value: unknown) => (value === undefined ? null : JSON.stringify(value));

/** Whether the next way to the same server may do: it takes no TLS, or nothing without. */
const isOtherWay = (error: unknown) =>
  isRefusedTls(error) || (error instanceof DatabaseError && error.code === "28000");

/** Whether the next server may do: this one is not there, or only reads. */
const isElsewhere = (error: unknown) =>
  error instanceof DatabaseError
    ? /^(25006|53300|57P0\d)$/.test(error.code ?? "")
    : describeError(error) !== "timeout exceeded when trying to connect"; // all are in use

type Purpose = "answers" | "leases";

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
 * and where it is gone, the next. None is held between two calls. Close it with end().
 */
export function openQueue(servers: string[][], connections: number) {
  let current = 0;
  // Only a claim has any, and a worker claims once at a time.
  let notices: { message: string; detail: string }[] = [];

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
    pool.on("connect", (client) => {
      client.on("error", () => {});
      client.on("notice", ({ message, detail }) => {
        notices.push({ message: message ?? "", detail: detail ?? "" });
      });
    });
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

  async function query<Row extends QueryResultRow>(
    sql: string,
    parameters: unknown[],
    purpose: Purpose = "answers",
  ) {
    const client = await connect(purpose);
    try {
      const { rows } = await client.query<Row>(sql, parameters);
      client.release();
      return rows;
    } catch (error) {
      client.release(true);
      throw error;
    }
  }

  async function value(sql: string, parameters: unknown[], purpose?: Purpose): Promise<unknown> {
    return (await query<{ value: unknown }>(sql, parameters, purpose))[0]?.value;
  }

  return {
    /**
     * What keeps this worker from its work in the database, in words that can be pasted, and who
     * made it. It takes no right.
     */
    async check(): Promise<{ database: string; faults: string[]; madeBy: string | null }> {
      const rows = z
        .array(
          z.object({
            database: z.string(),
            role: z.string(),
            is_there: z.boolean(),
            made_by: z.string().nullable(),
            remedy: z.string(),
            unknown: z.array(z.string()),
            forbidden: z.array(z.string()),
          }),
        )
        .parse(
          await query(
            `select current_database() as database, quote_ident(current_user) as role,
              n.oid is not null as is_there,
              substring(obj_description(n.oid, 'pg_namespace')
                from '^pg-maintenance (.*, state \\w+)') as made_by,
              case
                when to_regrole('maintenance_worker') is null
                  or pg_has_role(to_regrole('maintenance_worker'), 'usage')
                  then 'select * from maintenance.grant_roles();'
                when not pg_has_role(to_regrole('maintenance_worker'), 'member')
                  then format('grant maintenance_worker to %I;', current_user)
                when current_setting('server_version_num')::integer >= 160000
                  then format('grant maintenance_worker to %I with inherit true;', current_user)
                else format('alter role %I inherit;', current_user)
              end as remedy,
              array(select d.door from unnest($1::text[]) as d (door)
                where d.door <> all (p.doors)) as unknown,
              array(select split_part(d.door, '(', 1) from unnest(p.doors, p.oids) as d (door, oid)
                where d.door = any ($1)
                  and not (has_function_privilege(d.oid, 'execute')
                    and has_schema_privilege(n.oid, 'usage'))) as forbidden
            from (select to_regnamespace('maintenance') as oid) as n
            cross join lateral (
              select coalesce(array_agg(f.proname || '(' || oidvectortypes(f.proargtypes) || ')'),
                  '{}') as doors,
                array_agg(f.oid) as oids
              from pg_proc as f where f.pronamespace = n.oid
            ) as p`,
            [doors],
          ),
        );
      const row = rows[0] as (typeof rows)[number];
      const faults = !row.is_there
        ? ["pg-maintenance is not installed in it: make up"]
        : [
            ...row.unknown.map((door) => `it has no function maintenance.${door}`),
            ...(row.forbidden.length > 0
              ? [
                  `${row.role} may not call ${row.forbidden.join(", ")}; ` +
                    `as the owner of it: ${row.remedy}`,
                ]
              : []),
          ];
      return { database: row.database, faults, madeBy: row.made_by };
    },

    /**
     * Tasks; or none, and why none of those that are due is handed out. The same claim again gives
     * the same tasks: it may have been heard although its answer was not.
     */
    async claim(
      worker: string,
      most: number,
      leaseMs: number,
      about: { claim: string; repeated?: boolean; kinds?: string[] | undefined },
    ): Promise<Claimed> {
      notices = [];
      const rows = await query(
        `select task_id::text, kind, lease_token::text, attempt,
          current_setting('maintenance.due_seconds', true) as due_seconds
        from maintenance.claim_tasks($1, $2, $3 * interval '1 millisecond', $4::jsonb)`,
        [worker, most, leaseMs, JSON.stringify(about)],
        "leases",
      );
      const seconds = [rows[0]?.["due_seconds"], ...notices.map(({ detail }) => detail)].map(
        (text) => Number(/^(?:due for )?(\d+)/.exec(String(text))?.[1] ?? 0),
      );
      return {
        tasks: z.array(taskRow).parse(rows),
        held: notices.map(({ message }) => message).join("; "),
        dueSeconds: Math.max(...seconds),
      };
    },

    /** The request, or null where the task was closed or put off. */
    async request(task: Task): Promise<Request | null> {
      return requestValue
        .nullable()
        .parse(
          await value("select maintenance.task_request($1, $2) as value", [
            task.task_id,
            task.lease_token,
          ]),
        );
    },

    /** False: the lease is lost. */
    async extend(task: Task, leaseMs: number): Promise<boolean> {
      return z
        .boolean()
        .parse(
          await value(
            "select maintenance.extend_lease($1, $2, $3 * interval '1 millisecond') as value",
            [task.task_id, task.lease_token, leaseMs],
            "leases",
          ),
        );
    },

    async complete(task: Task, answer: string, usage: Record<string, unknown>): Promise<Outcome> {
      return outcomeValue.parse(
        await value("select maintenance.complete_task($1, $2, $3, $4::jsonb) as value", [
          task.task_id,
          task.lease_token,
          // Postgres takes no zero character, and no half of a surrogate pair.
          answer.toWellFormed().replaceAll("\0", "\ufffd"),
          json(usage),
        ]),
      );
    },

    async fail(task: Task, failure: Failure): Promise<Outcome> {
      return outcomeValue.parse(
        await value(
          `select maintenance.fail_task($1, $2, $3, $4, $5 * interval '1 millisecond',
            $6::jsonb, $7::jsonb) as value`,
          [
            task.task_id,
            task.lease_token,
            failure.failureClass,
            failure.message,
            failure.retryAfterMs ?? null,
            json(failure.usage),
            json(failure.details),
          ],
        ),
      );
    },

    async release(task: Task): Promise<Outcome> {
      return outcomeValue.parse(
        await value("select maintenance.release_task($1, $2) as value", [
          task.task_id,
          task.lease_token,
        ]),
      );
    },

    end: () =>
      Promise.all(
        pools.flatMap(({ answers, leases }) => [...answers, ...leases].map((p) => p.end())),
      ),
  };
}
