// The samples of exporters, and of Prometheus behind them, are those of maintenance.metrics; and the
// rules and the dashboard find what they ask for among them.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import pg from "pg";
import { dashboardQueries } from "./dashboard.ts";

const { OWNER_URL, MONITOR_URL, EXPORTERS = "", PROMETHEUS = "" } = process.env;
const exporters = EXPORTERS.split(" ").filter(Boolean);
const owner = new pg.Client({ connectionString: OWNER_URL });
const monitor = new pg.Client({ connectionString: MONITOR_URL });

before(async () => {
  await owner.connect();
  await monitor.connect();
});
after(async () => {
  await owner.end();
  await monitor.end();
});

/** Asks until the answer is good, for 30 seconds; what is thrown is an answer that is not. */
async function until<T>(what: string, ask: () => Promise<T | undefined>): Promise<T> {
  let fault: unknown;
  for (const end = Date.now() + 30_000; Date.now() < end; ) {
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
    } catch (error) {
      fault = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  throw new Error(`waited in vain for ${what}`, { cause: fault });
}

type Samples = Map<string, number>;
// What exporters and Prometheus add; an empty label is none.
const added = ["__name__", "metric_name", "col", "driver", "host", "database", "user", "server"];
added.push("job", "instance", "target", "sql_job");

function key(name: string, labels: Record<string, string>): string {
  const own = Object.entries(labels).filter(([label, value]) => !added.includes(label) && value);
  return `${name} ${JSON.stringify(own.sort(([a], [b]) => (a < b ? -1 : 1)))}`;
}

async function viewSamples(): Promise<Samples> {
  const { rows } = await monitor.query("select name, labels, value from maintenance.metrics");
  return new Map(rows.map(({ name, labels, value }) => [key(name, labels), Number(value)]));
}

async function exporterSamples(address: string): Promise<Samples> {
  const response = await fetch(`http://${address}/metrics`);
  assert.equal(response.status, 200);
  const samples: Samples = new Map();
  for (const line of (await response.text()).split("\n")) {
    const found = /^(?:sql_pg_maintenance|pg_maintenance_value)\{(.*)\} (\S+)$/.exec(line);
    if (!found) continue;
    const labels: Record<string, string> = {};
    for (const [, label, text] of found[1]?.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g) ?? []) {
      if (label && text !== undefined) labels[label] = JSON.parse(`"${text}"`) as string;
    }
    samples.set(
      key(labels["metric_name"] ?? "", labels),
      Number(found[2]?.replace("Inf", "Infinity")),
    );
  }
  return samples;
}

async function prometheus<T>(path: string): Promise<T> {
  const response = await fetch(`${PROMETHEUS}/api/v1/${path}`);
  const answer = (await response.json()) as { status: string; error?: string; data: T };
  assert.equal(answer.status, "success", answer.error);
  return answer.data;
}

type Series = { metric: Record<string, string>; value: [number, string] }[];
async function query(expr: string): Promise<Series> {
  return (await prometheus<{ result: Series }>(`query?query=${encodeURIComponent(expr)}`)).result;
}

// What moves from one look to the next.
const moves = /seconds|scrape|transactions|health_check_value|(dead|live)_rows|vacuum_holders/;

function compare(samples: Samples, expected: Samples): void {
  const without = (all: Samples, some: Samples) =>
    [...all.keys()].filter((name) => !some.has(name));
  assert.deepEqual(without(expected, samples), [], "samples that are missing");
  assert.deepEqual(without(samples, expected), [], "samples that the view has not");
  for (const [name, value] of expected) {
    if (!moves.test(name.split(" ")[0] ?? "")) assert.equal(samples.get(name), value, name);
  }
}

function checkKnown(samples: Samples, kind: string, model: string): void {
  const expected: [string, Record<string, string>, number][] = [
    ["up", {}, 1],
    ["backlog_rows", { task: "monitored", job_name: "monitored" }, 7],
    ["backlog_severity", { task: "broken", job_name: "broken" }, 3],
    ["scrape_error", { part: "backlog" }, 1],
    ["scrape_error", { part: "jobs" }, 0],
    ["job_last_hour_rows", { job_name: "purged", status: "succeeded" }, 5],
    ["job_failing", { job_name: "refused" }, 1],
    ["job_last_status", { job_name: "refused", status: "failed" }, 1],
    ["job_last_day_refused_rows", { job_name: "refused", status: "failed" }, 1],
    ["tasks", { kind, state: "dead" }, 2],
    ["tasks_due", { kind }, 3],
    ["tasks_last_hour", { kind, state: "succeeded" }, 4],
    ["model_today_cost_usd", { model, kind: "k" }, 0.25],
    ["model_today_tokens", { model, kind: "k", type: "input" }, 300],
    ["worker_heap_bytes", { worker: "host:1" }, 40_000_000],
    ["worker_heap_bytes", { worker: '"} 1\n# HELP \\ {x="' }, 1],
    ["alert_open", { cause: "health", subject: 'a "quoted"\nsubject', severity: "critical" }, 1],
    ["alerts", { severity: "warning" }, 1],
    ["paused", {}, 0],
  ];
  for (const [name, labels, value] of expected) {
    const wanted = key(`pg_maintenance_${name}`, labels);
    assert.equal(samples.get(wanted), value, wanted);
  }
}

async function names(): Promise<[string, string]> {
  const { rows } = await owner.query(
    "select (select min(kind) from maintenance.kind), (select min(model) from maintenance.model) as model",
  );
  return [rows[0].min, rows[0].model];
}

for (const address of exporters) {
  test(`the exporter at ${address} has what the view has`, async () => {
    const samples = await until("the samples of the view", async () => {
      const found = await exporterSamples(address);
      compare(found, await viewSamples());
      return found;
    });
    checkKnown(samples, ...(await names()));
  });

  if (!PROMETHEUS) continue;
  test(`Prometheus calls the samples from ${address} as the view does`, async () => {
    const samples = await until("the samples of the view", async () => {
      const series = await query(`{instance="${address}", __name__=~".*pg_maintenance.*"}`);
      const own = series.map(
        ({ metric, value }) =>
          [
            key(metric["__name__"] ?? "", metric),
            Number(value[1].replace("Inf", "Infinity")),
          ] as const,
      );
      for (const { metric } of series) assert.ok(!("metric_name" in metric || "col" in metric));
      const found = new Map(own);
      compare(found, await viewSamples());
      return found;
    });
    checkKnown(samples, ...(await names()));
  });
}

test("the query of the collector file gives the columns that it names", async () => {
  const file = readFileSync("scripts/monitoring/pg_maintenance.collector.yml", "utf8");
  const labels = [...file.matchAll(/^ {6}- (\w+)$/gm)].map(([, label]) => label);
  const { fields, rowCount } = await monitor.query(file.split("query: |\n")[1] ?? "");
  assert.ok(Number(rowCount) > 300);
  assert.deepEqual(
    fields.map(({ name }) => name),
    [...labels, "value"],
  );
});

if (PROMETHEUS) {
  test("every metric that a rule or the dashboard names is there", async () => {
    const { groups } = await prometheus<{ groups: { rules: { query: string }[] }[] }>("rules");
    const queries = [...groups.flatMap(({ rules }) => rules.map((rule) => rule.query))];
    queries.push(...dashboardQueries().map(({ expr }) => expr));
    assert.ok(queries.length > 40);
    const asked = new Set(queries.flatMap((expr) => expr.match(/\bpg_maintenance_\w+/g) ?? []));
    const there = await prometheus<string[]>("label/__name__/values");
    assert.deepEqual(
      [...asked].filter((name) => !there.includes(name)),
      [],
    );
  });

  for (const { panel, expr } of dashboardQueries()) {
    test(`the panel ${panel} has something to show`, async () => {
      await until(`${panel}: ${expr}`, async () =>
        (await query(expr)).length > 0 ? true : undefined,
      );
    });
  }

  test("the rules can be evaluated, and see what is wrong", async () => {
    type Rule = {
      name: string;
      health: string;
      lastError?: string;
      alerts: { labels: Record<string, string> }[];
    };
    const rules = await until("rules that were evaluated", async () => {
      const { groups } = await prometheus<{ groups: { rules: Rule[] }[] }>("rules");
      const all = groups.flatMap((group) => group.rules);
      const seen = all.find(({ name }) => name === "PgMaintenanceTasksDead")?.alerts.length ?? 0;
      return all.every(({ health }) => health !== "unknown") && seen > 0 ? all : undefined;
    });
    for (const { name, health, lastError } of rules)
      assert.equal(health, "ok", `${name}: ${lastError}`);
    assert.deepEqual(
      rules
        .filter(({ alerts }) => alerts.length > 0)
        .map(({ name }) => name)
        .sort(),
      [
        "PgMaintenanceCritical",
        "PgMaintenanceRuleBroken",
        "PgMaintenanceScrapeError",
        "PgMaintenanceTasksDead",
        "PgMaintenanceWarning",
      ],
    );
  });
}

test("what changes is seen by the next scrape", async () => {
  await owner.query("select maintenance.pause('a test')");
  for (const address of exporters) {
    await until(`a pause at ${address}`, async () =>
      (await exporterSamples(address)).get(key("pg_maintenance_paused", {})) === 1
        ? true
        : undefined,
    );
  }
});

// The last one: nobody comes in any more.
test("an exporter that is kept out is told of", async () => {
  const { rows } = await monitor.query("select pg_backend_pid() as pid, current_user");
  const name = owner.escapeIdentifier(rows[0].current_user);
  await owner.query(`alter role ${name} nologin`);
  await owner.query(`grant ${name} to current_user`);
  await owner.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1 and pid <> $2",
    [rows[0].current_user, rows[0].pid],
  );
  for (const address of exporters) {
    await until(`${address} without samples, or with the old ones`, async () => {
      const age = (samples: Samples) =>
        samples.get(key("pg_maintenance_read_timestamp_seconds", {}));
      const read = age(await exporterSamples(address));
      return read === undefined || Date.now() / 1000 - read > 5 ? true : undefined;
    });
  }
  if (!PROMETHEUS) return;
  await until("an alert", async () => {
    const { alerts } = await prometheus<{ alerts: { labels: Record<string, string> }[] }>("alerts");
    const told = alerts.filter(({ labels }) => labels["alertname"] === "PgMaintenanceNotScraped");
    // Debian's sql_exporter shows what it had: PgMaintenanceStale is for that, ten minutes later.
    const stale = await query("time() - pg_maintenance_read_timestamp_seconds > 5");
    const known = [...told.map(({ labels }) => labels), ...stale.map(({ metric }) => metric)];
    return exporters.every((address) => known.some((labels) => labels["instance"] === address))
      ? true
      : undefined;
  });
});
