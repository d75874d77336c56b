// A dump of one moment, in a file outside of the database: the whole structure, and the rows of the
// tables that are named; of those in public.backup_tables where none is named, or of all where that
// is not there. It is restored into a scratch database on the same server, with keys and checks, and
// compared; only then it gets its name, is registered, and old ones go. Rules S2-11, C-20. Sequences
// and large objects are in it, and are not compared. Started by scripts/backup.
import { execFile, execFileSync, spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { constants, hostname } from "node:os";
import { basename, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { Client, DatabaseError, escapeIdentifier, type QueryResultRow } from "pg";
import { serversOf } from "../edge-worker/config.ts";

type Plan = Awaited<ReturnType<typeof findTables>>;
type Dump = Awaited<ReturnType<typeof dumpOneMoment>>;
type Sums = { name: string; rows: string; checksum: string };

const start = Date.now();
const folder = resolve(process.env["BACKUP_DIR"] || "backups");
const say = (words: string) => console.error(words);
process.umask(0o077); // what is in a dump is for nobody else

// Children and sessions that are at work end with a signal, and with the first failure.
const stop = new AbortController();
for (const name of ["SIGHUP", "SIGINT", "SIGTERM"] as const) {
  process.once(name, () => {
    process.exitCode = 128 + constants.signals[name];
    stop.abort(new Error(`ended by ${name}`));
  });
}

async function backUp() {
  const plan = await findTables();
  const scratch = lockFolder();
  await cleanUp(plan, scratch); // it may need the room
  const id = plan.isRegistered ? await registerBegin() : null;
  let dump: Dump;
  try {
    const options = await leaveOutExtensions(scratch);
    dump = await dumpUndisturbed(plan, options);
    compare(dump.sums, await restore(dump, scratch));
    nameFile(dump);
  } catch (error) {
    stop.abort(error);
    if (id) await registerFailure(id, wordsOf(stop.signal.reason)).catch(() => {});
    throw stop.signal.reason;
  } finally {
    await cleanUp(plan, scratch).catch((error) => say(`${scratch} is left: ${wordsOf(error)}`));
  }
  if (id) await registerVerified(id, dump);
  else say("it was not registered, since there is no public.backups of pg-maintenance here");
  await removeOld(plan, dump, id);
  const rows = dump.sums.reduce((sum, table) => sum + BigInt(table.rows), 0n);
  const seconds = Math.floor((Date.now() - start) / 1000);
  const counts = `${dump.sums.length} tables, ${rows} rows, ${dump.size} bytes, ${seconds} s`;
  console.log(`${dump.file}: ${counts}`);
}

// A list is closed over what its tables refer to: without it nobody could restore it. Always there
// are what dbmate knows, or it would make all of it again, and what the kit has been told: jobs and
// rules of one's own, settings, what is kept for how long, what is backed up.
const tablesSql = `with recursive relation (oid, kind, name) as (
  select c.oid, c.relkind, format('%I.%I', n.nspname, c.relname)
  from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    and not exists (select from pg_depend as d
      where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
), named (name, oid) as (
  select n, to_regclass(case cardinality(parse_ident(n)) when 1 then 'public.' else '' end || n)::oid
  from unnest($1::text[]) as n
), chosen (oid) as (
  select oid from named union
  select oid from relation where $1 is null or name ~ '^maintenance(_internal)?[.]'
    or name ~ '^public[.]((schema|maintenance)_migrations|retention_policies|backup_tables)$'
  union
  select i.inhrelid from chosen as k join pg_inherits as i on i.inhparent = k.oid
), kept (oid) as (
  select oid from chosen union
  select l.oid from kept as k cross join lateral (
    select i.inhrelid from pg_inherits as i where i.inhparent = k.oid union all
    select f.confrelid from pg_constraint as f where f.conrelid = k.oid and f.contype = 'f'
  ) as l (oid)
)
select array(select name from relation where kind = 'r' and oid in (select oid from kept)
    order by name) as tables,
  array(select name from relation where kind = 'r' and oid in (select oid from kept)
    and oid not in (select oid from chosen) order by name) as added,
  array(select n.name from named as n
    where not exists (select from relation as r where r.oid = n.oid)) as refused`;

/** What there is to be dumped, and for how long dumps are kept. */
async function findTables() {
  const { database, isRegistered } = await one<{ database: string; isRegistered: boolean }>(
    `select current_database() as database,
      to_regprocedure('public.restore_backup(bigint, text)') is not null and exists (
        select from pg_attribute where attrelid = to_regclass('public.backups')
          and attname = 'checksum') as "isRegistered"`,
  );
  const ours = isRegistered
    ? await one<{ names: string[]; days: string | null }>(
        `select array(select format('public.%I', name) from public.backup_tables) as names,
          (select coalesce(value, '36500') from maintenance.setting
            where name = 'backup_days') as days`,
      )
    : null;
  const given = process.argv.slice(2);
  const listed = process.env["TABLES"]?.match(/\S+/g);
  const names = given.length > 0 ? given : (listed ?? ours?.names);
  if (names?.length === 0) throw new Error("backup_tables is empty; nothing was written");
  type Found = Record<"tables" | "refused" | "added", string[]>;
  const { tables, refused, added } = await one<Found>(tablesSql, [names]).catch((error) => {
    throw new Error(`${names?.join(" ")}: ${wordsOf(error)}; nothing was written`);
  });
  if (refused.length > 0) {
    throw new Error(`no table of this database: ${refused.join(" ")}; nothing was written`);
  }
  if (added.length > 0) say(`added, since listed tables refer to them: ${added.join(" ")}`);
  const days = Number(process.env["BACKUP_DAYS"] || (ours?.days ?? 30));
  return {
    isRegistered,
    names,
    tables,
    seconds: Math.floor(86_400 * Math.min(days, 36_500)),
    base: `${folder}/${encodeURIComponent(database)}-`,
  };
}

/** The lock is on what this process holds open, and no child inherits: it ends with it at once. */
function lockFolder(): string {
  const path = `${folder}/.lock`;
  let lock: number;
  try {
    // Not Node's own, which never ends where a file system answers oddly, as /proc.
    execFileSync("mkdir", ["-p", "--", folder], { stdio: "pipe" });
    lock = fs.openSync(path, "a");
  } catch (error) {
    throw new Error(`${folder} cannot be written to: BACKUP_DIR=... (${wordsOf(error)})`);
  }
  const flock = spawnSync("flock", ["-n", "3"], { stdio: ["ignore", "ignore", "ignore", lock] });
  if (flock.error) throw flock.error;
  if (flock.status !== 0) throw new Error(`another backup is at work in ${folder}`);
  // It names the scratch database: who holds the lock may drop what a killed run has left.
  if (!/^[0-9a-f]{16}$/.test(fs.readFileSync(path, "utf8"))) {
    fs.writeFileSync(path, randomBytes(8).toString("hex"));
  }
  return `backup_check_${fs.readFileSync(path, "utf8")}`;
}

/** What a run leaves that does not come to its end: a killed one before, and now this one. */
async function cleanUp(plan: Plan, scratch: string) {
  for (const file of filesOf(plan, ".dump.part")) fs.rmSync(file);
  for (const file of filesOf(plan, ".dump.sha256")) {
    if (!fs.existsSync(file.replace(/\.sha256$/, ""))) fs.rmSync(file);
  }
  await dropDatabase(scratch);
}

// What is in no schema, and in no extension: pg_dump before 17 leaves it out with an extension.
const lostSql = `select string_agg(i.type || ' ' || i.identity, ', ') as lost from (
    select 'pg_cast'::regclass::oid, oid from pg_cast union all
    select 'pg_foreign_data_wrapper'::regclass, oid from pg_foreign_data_wrapper union all
    select 'pg_foreign_server'::regclass, oid from pg_foreign_server union all
    select 'pg_event_trigger'::regclass, oid from pg_event_trigger union all
    select 'pg_publication'::regclass, oid from pg_publication union all
    select 'pg_language'::regclass, oid from pg_language union all
    select 'pg_am'::regclass, oid from pg_am union all
    select 'pg_transform'::regclass, oid from pg_transform union all
    select 'pg_default_acl'::regclass, oid from pg_default_acl where defaclnamespace = 0
  ) as g (classid, oid), pg_identify_object(g.classid, g.oid, 0) as i
  where g.oid >= 16384 and not exists (select from pg_depend as d
    where d.classid = g.classid and d.objid = g.oid and d.deptype = 'e')`;

/** What cannot be made in another database, as pg_cron, or nothing could be restored there. */
async function leaveOutExtensions(scratch: string): Promise<string[]> {
  await makeDatabase(scratch, "template template0");
  const extensions = await ask<{ extname: string }>("select extname from pg_extension");
  const made: string[] = [];
  const out: string[] = [];
  await withSession(scratch, async (session) => {
    for (const name of extensions.map(({ extname }) => escapeIdentifier(extname))) {
      try {
        await session.query(`create extension if not exists ${name} cascade`);
        made.push(name);
      } catch (error) {
        if (!(error instanceof DatabaseError)) throw error;
        out.push(name);
      }
    }
  });
  if (out.length === 0) return [];
  if (out.join() !== '"pg_cron"') {
    say(`left out, since this role cannot create them in another database: ${out.join(" ")}`);
  }
  if ((await run("pg_dump", ["--help"])).includes("--exclude-extension")) {
    return out.map((name) => `--exclude-extension=${name}`);
  }
  const { lost } = await one<{ lost: string }>(lostSql);
  if (lost) say(`left out, since pg_dump is older than 17: ${lost}`);
  return [...made.map((name) => `--extension=${name}`), "--blobs"];
}

const snapshotSql = `select pg_export_snapshot() as id, statement_timestamp()::text as moment,
  to_char(statement_timestamp(), 'YYYYMMDD"T"HH24MISS"Z"') as stamp, array(
    select format('--exclude-table%s="%s"."%s"',
      case when n.nspname <> 'maintenance_backup' or exists (select from pg_depend as d
        where d.refobjid = c.oid and d.classid = 'pg_rewrite'::regclass) then '-data' end,
      replace(n.nspname, '"', '""'), replace(c.relname, '"', '""'))
    from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
    where c.relkind = 'r' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
      and c.oid <> all ($1::text[]::regclass[]) and not exists (select from pg_depend as d
        where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
  ) as excluded`;

/**
 * Whoever wants to alter or truncate a table waits for us, and pg_dump would wait for him, and we
 * for pg_dump: so it does not wait, and all of it is begun anew when he is through.
 */
async function dumpUndisturbed(plan: Plan, options: string[]) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await dumpOneMoment(plan, options);
    } catch (error) {
      if (stop.signal.aborted || !isInTheWay(error)) throw error;
      if (attempt === 6) {
        throw new Error(`somebody holds, alters or truncates a table: ${wordsOf(error)}`);
      }
      await sleep(500 * 2 ** attempt, undefined, { signal: stop.signal });
    }
  }
}

/** By SQLSTATE and by pg_dump's own words, since those of a server may be in any language. */
function isInTheWay(error: unknown): boolean {
  return error instanceof DatabaseError
    ? ["55P03", "42P01", "3F000"].includes(error.code ?? "")
    : /Query was: LOCK TABLE|other tables/.test(wordsOf(error));
}

/**
 * One session holds the snapshot, and sums up under it while pg_dump works. It locks first: to
 * truncate is seen in every snapshot. Which tables there are is asked again under the snapshot.
 */
async function dumpOneMoment(plan: Plan, options: string[]) {
  return withSession(undefined, async (session) => {
    await session.query("set lock_timeout = '2s'");
    await session.query("begin isolation level repeatable read, read only");
    if (plan.tables.length > 0) {
      await session.query(`lock table only ${plan.tables.join(", only ")} in access share mode`);
    }
    const [snapshot] = (await session.query(snapshotSql, [plan.tables])).rows;
    const { tables, refused } = (await session.query(tablesSql, [plan.names])).rows[0];
    if (refused.length > 0 || tables.join() !== plan.tables.join()) {
      plan.tables = tables;
      throw new Error(`there are other tables now: ${refused.join(" ")}`);
    }
    const file = `${plan.base}${snapshot.stamp}.dump`;
    const part = `${file}.part`;
    if (fs.existsSync(file)) throw new Error(`${file} is there already`);
    const columns = (await session.query(columnsSql, [plan.tables])).rows;
    const how = ["-Fc", ...options, "--lock-wait-timeout=2000", `--snapshot=${snapshot.id}`];
    const [sums] = await Promise.all([
      sumUp(session, columns),
      run("pg_dump", [...how, ...snapshot.excluded, "-f", part]),
    ]);
    await session.query("commit"); // which fails where the session has ended, and its locks
    if (fs.statSync(part).size === 0) throw new Error(`there is no room left in ${folder}`);
    flush(part);
    const hash = createHash("sha256");
    await pipeline(fs.createReadStream(part), hash);
    const moment: string = snapshot.moment;
    const { size } = fs.statSync(part);
    return { file, part, moment, sums, columns, size, hash: hash.digest("hex") };
  });
}

// In their order here: where tables are inherited, a restore has another.
const columnsSql = `select t as name, coalesce((
    select string_agg(format('s.%I', a.attname), ', ' order by a.attnum) from pg_attribute as a
    where a.attrelid = t::regclass and a.attnum > 0 and not a.attisdropped), '') as columns
  from unnest($1::text[]) with ordinality as n (t, nr) order by nr`;
type Columns = { name: string; columns: string };

/** Rows and a checksum of each table as backup_sums has them, which may not be there. */
async function sumUp(session: Client, tables: Columns[]): Promise<Sums[]> {
  const sums: Sums[] = [];
  for (const { name, columns } of tables) {
    stop.signal.throwIfAborted();
    const sql = `select $1 as name, count(*) as rows,
      coalesce(sum(hashtextextended(row(${columns})::text, 0)), 0) as checksum
      from only ${name} as s`;
    sums.push(...(await session.query<Sums>(sql, [name])).rows);
  }
  return sums;
}

/** Into a database as pg_restore --create would make it, but for the name. */
async function restore({ part, columns }: Dump, scratch: string): Promise<Sums[]> {
  const made = await run("pg_restore", ["--create", "--section=pre-data", "-f", "-", part]);
  const like = /^CREATE DATABASE .* WITH (TEMPLATE = .*);$/m.exec(made)?.[1];
  if (like === undefined) throw new Error(`${part} cannot be read`);
  await makeDatabase(scratch, like);
  const options = ["--exit-on-error", "--no-subscriptions", "--no-publications"];
  await run("pg_restore", [...options, "-d", scratch, part]);
  return withSession(scratch, (session) => sumUp(session, columns));
}

function compare(source: Sums[], restored: Sums[]) {
  const words = (sums?: Sums) => `${sums?.name} ${sums?.rows} ${sums?.checksum}`;
  const differ = source
    .map((sums, index) => [words(sums), words(restored[index])])
    .filter(([one, other]) => one !== other)
    .map((pair) => pair.join(" restored: "));
  if (differ.length === 0) return;
  const first = differ.slice(0, 10).join(" ");
  throw new Error(`what was restored is not like its source (table, rows, checksum): ${first}`);
}

/** The name comes last, and when all else is on the disk. */
function nameFile({ file, part, hash }: Dump) {
  stop.signal.throwIfAborted();
  fs.writeFileSync(`${file}.sha256`, `${hash}  ${basename(file)}\n`);
  flush(`${file}.sha256`);
  fs.renameSync(part, file);
  flush(folder);
}

/** As failed until it is verified: of a run that is killed it is all there is to be seen. */
async function registerBegin() {
  const { id } = await one<{ id: string }>(
    `insert into public.backups (backup_type, started_at, error_message)
     values ('dump', now(), 'It did not come to its end') returning backup_id as id`,
  );
  return id;
}

async function registerFailure(id: string, words: string) {
  await ask("update public.backups set error_message = $2 where backup_id = $1", [id, words]);
}

async function registerVerified(id: string, { file, moment, sums, size, hash }: Dump) {
  const tables = sums.map(({ name, rows, checksum }) => [name, { rows: Number(rows), checksum }]);
  const values = [id, moment, `${hostname()}:${file}`, size, hash, Object.fromEntries(tables)];
  try {
    await one(
      `update public.backups set status = 'verified', started_at = $2, finished_at = now(),
         file_location = $3, size_bytes = $4, checksum = $5, tables = $6, error_message = null
       where backup_id = $1 returning backup_id`,
      values,
    );
  } catch (error) {
    const words = `${file} is verified, and could not be registered; nothing old was deleted`;
    throw new Error(`${words}: ${wordsOf(error)}`);
  }
}

/** What is older than it may be, but for the newest; then what the registry has of it. */
async function removeOld(plan: Plan, dump: Dump, id: string | null) {
  const oldest = new Date(Date.now() - plan.seconds * 1000)
    .toISOString()
    .replace(/[-:]|\.\d+/g, "");
  for (const file of filesOf(plan, ".dump")) {
    if (file === dump.file || file >= `${plan.base}${oldest}`) continue;
    fs.rmSync(file);
    fs.rmSync(`${file}.sha256`, { force: true });
  }
  if (!id) return;
  const kept = filesOf(plan, ".dump").map((file) => `${hostname()}:${file}`);
  await ask(
    `delete from public.backups
     where backup_type = 'dump' and backup_id <> $1
       and started_at <= now() - $2 * interval '1 second'
       and (status = 'failed' or starts_with(file_location, $3) and file_location <> all ($4))`,
    [id, plan.seconds, `${hostname()}:${folder}/`, kept],
  );
}

/** This database's files in the folder, and nobody else's. */
function filesOf({ base }: Plan, suffix: string): string[] {
  const isOurs = (file: string) =>
    file.startsWith(base) && /^\d{8}T\d{6}Z$/.test(file.slice(base.length, -suffix.length));
  const entries = fs.readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile());
  const files = entries.map(({ name }) => `${folder}/${name}`);
  return files.filter((file) => file.endsWith(suffix) && isOurs(file));
}

function flush(path: string) {
  const file = fs.openSync(path, "r");
  fs.fsyncSync(file);
  fs.closeSync(file);
}

/** A program of Postgres', and what it prints; or it fails, with the last words of the program. */
async function run(program: string, parameters: string[]): Promise<string> {
  const options = { signal: stop.signal, maxBuffer: Number.POSITIVE_INFINITY };
  try {
    return (await promisify(execFile)(program, parameters, options)).stdout;
  } catch (error) {
    const { signal, stderr = "" } = error as { signal?: string; stderr?: string };
    const lines = stderr
      .match(/^.*(error|detail|ERROR|FATAL|DETAIL):.*$/gm)
      ?.slice(0, 4)
      .join(" ");
    let said = (lines ?? stderr.trim()).replaceAll(`${program}: error: `, "");
    if (signal) said = `ended by ${signal} ${said}`;
    if (/SIGXFSZ|No space left|File too large/.test(said)) {
      const place = program === "pg_dump" ? `in ${folder}` : "on the server";
      said = `there is no room left ${place}: ${said}`;
    }
    throw new Error(`${program}: ${said || wordsOf(error)}`);
  }
}

async function makeDatabase(name: string, like: string) {
  try {
    await dropDatabase(name);
    await ask(`create database ${name} with ${like}`);
  } catch (error) {
    const advice = "no scratch database to check it in (alter role ... createdb)";
    throw new Error(`${advice}: ${wordsOf(error)}`);
  }
}

/** Not with (force), which fails where autovacuum is at work there. */
async function dropDatabase(name: string) {
  await ask(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = $1 and usename = current_user`,
    [name],
  );
  await ask(`drop database if exists ${name}`);
}

/** In a session of its own: none is idle for hours, while something else is at work. */
async function ask<Row extends QueryResultRow>(sql: string, values?: unknown[]): Promise<Row[]> {
  return withSession(undefined, async (session) => (await session.query<Row>(sql, values)).rows);
}

async function one<Row extends QueryResultRow>(sql: string, values?: unknown[]): Promise<Row> {
  const [row] = await ask<Row>(sql, values);
  if (!row) throw new Error("a row that was there is gone");
  return row;
}

const settingsSql = `set statement_timeout = 0;
  select set_config(name, '0', false) from pg_settings where name in ('lock_timeout',
    'transaction_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout');
  set search_path = pg_catalog, pg_temp; set timezone = 'UTC'; set datestyle = 'ISO, YMD';
  set intervalstyle = 'postgres'; set extra_float_digits = 1; set bytea_output = 'hex';
  set lc_monetary = 'C'; set quote_all_identifiers = off; set row_security = off;
  set client_connection_check_interval = '5s'`;

/**
 * A session in the database of the URL, or in another there. A value is the same text in each,
 * whatever a role or a database is set to, and it has all the time.
 */
async function withSession<T>(database: string | undefined, work: (session: Client) => Promise<T>) {
  const session = await connect(database);
  const end = () => void session.end();
  stop.signal.addEventListener("abort", end);
  try {
    await session.query(settingsSql);
    return await work(session);
  } finally {
    stop.signal.removeEventListener("abort", end);
    await session.end();
  }
}

/** By the first way that is open, as the worker. PGDATABASE is in words what the URL encodes. */
async function connect(database = ""): Promise<Client> {
  let reason: unknown;
  for (const way of serversOf(process.env["DATABASE_URL"] ?? "", process.env["PGSSLMODE"]).flat()) {
    const connectionString = way.replace(/^(\w+:\/\/[^/]*)\/[^?]*/, `$1/${database}`);
    const session = new Client({ connectionString, keepAlive: true });
    session.on("error", () => {}); // the next query says so
    try {
      await session.connect();
      return session;
    } catch (error) {
      reason = error;
    }
  }
  throw reason;
}

function wordsOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(wordsOf).join("; ");
  if (error instanceof DatabaseError && error.detail) return `${error.message}: ${error.detail}`;
  return error instanceof Error ? error.message : String(error);
}

await backUp().catch((error) => {
  say(`error: ${wordsOf(error)}`);
  process.exitCode ??= 1;
});
