// The six functions of Postgres that the worker may call: the only SQL there is.
import { DatabaseError, Pool } from "pg";
import { z } from "zod";

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
/** What was claimed; and, where it is nothing although tasks are due, why that is. */
export type Claimed = { tasks: Task[]; held: string };
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

/** A text that Postgres takes: no zero character, no half of a surrogate pair. */
export const cleanText = (text: string) => text.toWellFormed().replaceAll("\0", "\ufffd");

const json = (value: unknown) =>
  value === undefined
    ? null
    : JSON.stringify(value, (_key, part: unknown) =>
        typeof part === "string" ? cleanText(part) : part,
      );

/** Opens a pool of connections; none is held between two calls. Close it with end(). */
export function openQueue(databaseUrl: string, connections: number) {
  const pool = new Pool({
    connectionString: databaseUrl,
    max: connections,
    application_name: "edge-worker",
    connectionTimeoutMillis: 10_000,
    query_timeout: 60_000,
    keepAlive: true,
  });
  // An idle connection that breaks is replaced at the next call, which reports what is wrong.
  pool.on("error", () => {});
  // Only a claim has any, and a worker claims once at a time.
  let notices: string[] = [];
  pool.on("connect", (client) =>
    client.on("notice", ({ message }) => message && notices.push(message)),
  );

  async function value(sql: string, parameters: unknown[]): Promise<unknown> {
    const { rows } = await pool.query<{ value: unknown }>(sql, parameters);
    return rows[0]?.value;
  }

  return {
    /** Tasks; or none, and why none of those that are due is handed out. */
    async claim(worker: string, most: number, leaseMs: number): Promise<Claimed> {
      notices = [];
      const { rows } = await pool.query(
        `select task_id::text, kind, lease_token::text, attempt
        from maintenance.claim_tasks($1, $2, $3 * interval '1 millisecond')`,
        [worker, most, leaseMs],
      );
      return { tasks: z.array(taskRow).parse(rows), held: notices.join("; ") };
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
          cleanText(answer),
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
            cleanText(failure.message),
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

    /** The version that made the database, or null where nothing says so. It takes no right. */
    async installed(): Promise<string | null> {
      return z
        .string()
        .nullable()
        .parse(
          await value(
            `select substring(obj_description(to_regnamespace('maintenance'), 'pg_namespace')
              from '^pg-maintenance (.*, state \\w+)') as value`,
            [],
          ),
        );
    },

    end: () => pool.end(),
  };
}
