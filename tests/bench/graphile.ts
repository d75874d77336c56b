// Jobs a second that graphile-worker, a well-known queue in Postgres, gets through with ten at once that
// do nothing: one by one as the queue here, and with its local queue, which takes them by the hundred.
import { Logger, run, runMigrations } from "graphile-worker";
import { Client } from "pg";

const connectionString = process.env["TEST_DATABASE_URL"] ?? "";
const logger = new Logger(() => () => {});
const db = new Client({ connectionString });
await db.connect();
await runMigrations({ connectionString, logger });

const rates: number[] = [];
for (const [count, preset] of [
  [Number(process.env["JOBS"] ?? 10_000), {}],
  [5 * Number(process.env["JOBS"] ?? 10_000), { worker: { localQueue: { size: 500 } } }],
] as const) {
  await db.query(
    "select count(*) from graphile_worker.add_jobs(array(select ('noop', '{}', null, null, null, null, null, null)::graphile_worker.job_spec from generate_series(1, $1)))",
    [count],
  );
  await db.query("vacuum (analyze) graphile_worker._private_jobs");
  let done = 0;
  let end = () => {};
  const all = new Promise<void>((resolve) => {
    end = resolve;
  });
  const started = performance.now();
  const runner = await run({
    connectionString,
    concurrency: 10,
    noHandleSignals: true,
    logger,
    preset,
    taskList: {
      noop() {
        done += 1;
        if (done === count) end();
      },
    },
  });
  await all;
  rates.push(Math.round(count / ((performance.now() - started) / 1000)));
  await runner.stop();
}
process.stdout.write(`${rates.join(" ")}\n`);
await db.end();
