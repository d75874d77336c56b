// The functions of Postgres that the worker may call, and where they are: the only SQL there is.
import { z } from "zod";
import { openPools, type Purpose } from "./postgres.ts";

/** What this worker calls. A database of another release that has them all can be worked for. */
const doors = [
  "claim_tasks(text, integer, interval, jsonb)",
  "task_request(bigint, uuid)",
  "extend_lease(bigint, uuid, interval)",
  "complete_task(bigint, uuid, text, jsonb)",
  "fail_task(bigint, uuid, text, text, interval, jsonb, jsonb)",
  "release_task(bigint, uuid)",
  "claim_blobs(text, integer, interval)",
  "settle_blob(bigint, uuid, text, text)",
];

const taskRow = z.object({
  task_id: z.string(),
  kind: z.string(),
  lease_token: z.string(),
  attempt: z.number(),
});

const blobRow = z.object({
  blob_id: z.string(),
  url: z.string(),
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
/** A blob that is leased to this worker, to be deleted from the store. */
export type Blob = z.infer<typeof blobRow>;
/** What a model is to be asked: after wait_ms, and its answer is waited for during timeout_ms. */
export type Request = z.infer<typeof requestValue>;
/**
 * What was claimed, and for how long the oldest due task has been due; and, where there is nothing
 * although tasks are due, why that is.
 */
export type Claimed = { tasks: Task[]; held: string; dueSeconds: number };
/** What became of a task; available_at where it is ready again. */
export type Outcome = z.infer<typeof outcomeValue>;

/** A claim's name, and what the worker says of itself: bytes of memory, seconds of uptime. */
export type About = {
  claim: string;
  repeated?: boolean;
  kinds?: string[] | undefined;
  version?: string | undefined;
  pid?: number;
  rss?: number;
  heap?: number;
  uptime?: number;
};

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

const json = (value: unknown) => (value === undefined ? null : JSON.stringify(value));

/** Opens the queue of a database, over so many connections for answers. Close it with end(). */
export function openQueue(servers: string[][], connections: number) {
  const pools = openPools(servers, connections);

  async function value(sql: string, parameters: unknown[], purpose?: Purpose): Promise<unknown> {
    return (await pools.query(sql, parameters, purpose)).rows[0]?.["value"];
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
          (
            await pools.query(
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
            )
          ).rows,
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
    async claim(worker: string, most: number, leaseMs: number, about: About): Promise<Claimed> {
      const { rows, notices } = await pools.query(
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

    /** Blobs that are to be deleted, the oldest first. */
    async claimBlobs(worker: string, most: number, leaseMs: number): Promise<Blob[]> {
      const { rows } = await pools.query(
        `select blob_id::text, url, lease_token::text, attempt
        from maintenance.claim_blobs($1, $2, $3 * interval '1 millisecond')`,
        [worker, most, leaseMs],
        "leases",
      );
      return z.array(blobRow).parse(rows);
    },

    async settleBlob(blob: Blob, outcome: string, message?: string): Promise<Outcome> {
      return outcomeValue.parse(
        await value("select maintenance.settle_blob($1, $2, $3, $4) as value", [
          blob.blob_id,
          blob.lease_token,
          outcome,
          message ?? null,
        ]),
      );
    },

    end: pools.end,
  };
}
