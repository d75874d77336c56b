// What runs the worker elsewhere, edge-worker/Dockerfile and edge-worker.service: the files that
// they name are all that it needs, and their commands start it.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { db, enqueue, setUp, startProgram, words } from "./setup.ts";
import { startStandIn } from "./stand-in.ts";

before(setUp);
after(() => db.end());

const dockerfile = readFileSync("edge-worker/Dockerfile", "utf8");
const unit = readFileSync("edge-worker/edge-worker.service", "utf8");

test("the image has all that the worker needs, and its command starts it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "image-"));
  const ignored = readFileSync("edge-worker/Dockerfile.dockerignore", "utf8");
  for (const [, words = ""] of dockerfile.matchAll(/^COPY (.+)$/gm)) {
    const names = words.split(" ");
    const target = join(folder, names.pop() ?? "");
    for (const name of names) {
      assert(ignored.includes(`!${name}\n`), `${name} is kept from the image`);
      execFileSync("bash", ["-c", `mkdir -p "$0" && cp ${name} "$0"`, target]);
    }
  }
  symlinkSync(resolve("node_modules"), join(folder, "node_modules"));
  const command = JSON.parse(/^CMD (\[.*\])$/m.exec(dockerfile)?.[1] ?? "") as string[];
  const standIn = await startStandIn(() => ({ text: '{"word": "shipped"}' }));
  await enqueue("image");
  const program = startProgram(standIn.url, {}, ["--once"], { command, folder });
  assert.equal(await program.exit, 0, program.output());
  await standIn.close();
  rmSync(folder, { recursive: true });
  assert.deepEqual(await words("image"), ["shipped"]);
  assert.doesNotMatch(program.output(), /another version/);
});

test("the unit starts the same command, and gives it time to end", () => {
  const command = (JSON.parse(/^CMD (\[.*\])$/m.exec(dockerfile)?.[1] ?? "") as string[]).join(" ");
  assert.equal(/^ExecStart=\/usr\/bin\/(.*)$/m.exec(unit)?.[1], command);
  assert(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1]) * 1000 > 8000, "longer than GRACE_MS");
});

test("systemd takes the unit", {
  skip: !existsSync("/usr/bin/systemd-analyze") && "no systemd here",
}, () => {
  // Paths that are not on this machine are none of its words' faults.
  const checked = spawnSync(
    "systemd-analyze",
    ["verify", resolve("edge-worker/edge-worker.service")],
    {
      encoding: "utf8",
    },
  );
  const faults = checked.stderr
    .split("\n")
    .filter((line) => /edge-worker\.service:\d+:/.test(line));
  assert.deepEqual(faults, []);
});
