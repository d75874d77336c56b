// The server is restarted while a model thinks: the answer waits, and is applied once.
import assert from "node:assert/strict";
import { execSync } from "node:child_process";
import { test } from "node:test";
import { Client } from "pg";
import { db, enqueue, setUp, startProgram, until } from "./setup.ts";
import { startStandIn } from "./stand-in.ts";

const restart = process.env["RESTART_SERVER"];

test("Postgres is restarted during a call", {
  skip: !restart && "no server of our own",
}, async () => {
  await setUp();
  let answer = () => {};
  const held = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const standIn = await startStandIn(async () => {
    await held;
    return { text: '{"word": "kept"}' };
  });
  await enqueue("restart");
  await db.end();
  const program = startProgram(standIn.url);
  await until("the call is made", () => standIn.seen.length === 1);
  execSync(restart ?? "", { cwd: "/" });
  answer();

  const after = new Client({ connectionString: process.env["TEST_DATABASE_URL"] });
  await after.connect();
  const read = async () =>
    (await after.query("select state, attempts, recoveries from maintenance.task")).rows;
  await until("the answer is applied", async () => (await read())[0].state === "succeeded");
  assert.deepEqual(await read(), [{ state: "succeeded", attempts: 1, recoveries: 0 }]);
  assert.deepEqual((await after.query("select word from public.echo")).rows, [{ word: "kept" }]);
  assert.equal(standIn.seen.length, 1, "Gemini was asked once");
  await after.end();
  program.child.kill("SIGTERM");
  assert.equal(await program.exit, 0);
  await standIn.close();
});
