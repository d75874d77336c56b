// 640 tasks through a worker with 32 calls in flight and a model that takes 500 ms: at best 64 a second.
import { db, runOnce, setUp } from "../worker/setup.ts";
import { startStandIn } from "../worker/stand-in.ts";

const concurrency = 32;
const delayMs = 500;
const count = 640;
await setUp();
const standIn = await startStandIn(async () => {
  await new Promise((resolve) => setTimeout(resolve, delayMs));
  return { text: '{"word": "x"}' };
});
await db.query(
  "select count(maintenance.enqueue_task('echo', 'bench ' || i)) from generate_series(1, $1) as i",
  [count],
);
const started = performance.now();
await runOnce(standIn.url, { concurrency });
const rate = count / ((performance.now() - started) / 1000);
const best = concurrency / (delayMs / 1000);
process.stdout.write(
  `${"32 in flight, 500 ms a call".padEnd(28)} ${rate.toFixed(1).padStart(10)} ${best.toFixed(1).padStart(10)} ${(rate / best).toFixed(2).padStart(8)}\n`,
);
await standIn.close();
await db.end();
