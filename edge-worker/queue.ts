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
  error: z.string().nullish(),
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
 * Whether the same call may succeed later: the connection, the server's state or a lock was in the
 * way. A missing right or a value of another shape stays as it is.
 */
export function isPassing(error: unknown): boolean {
  if (error instanceof DatabaseError) return /^(08|25|40|53|55|57)/.test(error.code ?? "");
  return !(error instanceof z.ZodError);
}

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
    return /^(PM|08|25|28|3D|3F|40|42|53|55|57)/.test(error.code ?? "")
      ? [error.message, error.hint].filter(Boolean).join("; ")
      : `SQLSTATE ${error.code}`;
  }
  return error instanceof Error
    ? error.message || String(error.cause ?? error.name)
    : String(error);
}

const json = (value: unknown) => (value === undefined ? null : JSON.stringify(value));

/** Where the next server of the list may do: this one is not there, takes no TLS, or only reads. */
function isElsewhere(error: unknown): boolean {
  return !(error instanceof DatabaseError) || /^(25006|28000|53300|57P0\d)$/.test(error.code ?? "");
}

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
 * Opens pools of connections, one for each way to the database (DATABASE_URL, parsed): what worked
 * last is used, and where it is gone the next. None is held between two calls. Close it with end().
 */
export function openQueue(databaseUrls: string[], connections: number) {
  const pools = databaseUrls.map((connectionString) => {
    new Client({ connectionString }); // it reads what the URL names, and says what is not there
    const pool = new Pool({
      connectionString,
      max: connections,
      application_name: "edge-worker",
      connectionTimeoutMillis: 10_000,
      query_timeout: 60_000,
      keepAlive: true,
      ...(databaseUrls.length > 1 ? { verify: refuseStandby } : {}),
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
  });
  let current = 0;
  // Only a claim has any, and a worker claims once at a time.
  let notices: { message: string; detail: string }[] = [];

  async function connect(): Promise<PoolClient> {
    for (let tried = 1; ; tried += 1) {
      const chosen = current;
      try {
        return await (pools[chosen] as Pool).connect();
      } catch (error) {
        if (!isElsewhere(error)) throw error;
        if (current === chosen) current = (chosen + 1) % pools.length;
        if (tried === pools.length) throw error;
      }
    }
  }

  async function query<Row extends QueryResultRow>(sql: string, parameters: unknown[]) {
    const client = await connect();
    try {
      const { rows } = await client.query<Row>(sql, parameters);
      client.release();
      return rows;
    } catch (error) {
      client.release(true);
      throw error;
    }
  }

  async function value(sql: string, parameters: unknown[]): Promise<unknown> {
    return (await query<{ value: unknown }>(sql, parameters))[0]?.value;
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
              array(select d.door from unnest($1::text[]) as d (door)
                where d.door <> all (p.doors)) as unknown,
              array(select d.door from unnest(p.doors, p.oids) as d (door, oid)
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
                  `${row.role} may not call ${row.forbidden.join(", ")}`,
                  `grant maintenance_worker to ${row.role};`,
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

    end: () => Promise.all(pools.map((pool) => pool.end())),
  };
}
