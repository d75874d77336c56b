// Writes the migrations that carry what changed in sql/: the engine's to db/migrations/, those of
// the reference application to db/reference/.
//
// Each migration holds a fresh copy of a file between two marker lines. The markers say what has
// shipped, so neither git nor a database is asked. Until the first release (version 0.0.x) there is
// one initial migration each, and it is written anew; after it, migrations are only added. Files
// that make tables hold data, so once shipped they are not copied: the migration gets a place for
// the alter statements, and make verify fails until they are right.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { root: { type: "string", default: "." } },
});
const root = values.root;
const name = positionals[0] ?? "";
const folders = { engine: "db/migrations", reference: "db/reference" };

const read = (path: string) => readFileSync(`${root}/${path}`, "utf8");
const digest = (text: string) => createHash("sha256").update(text).digest("hex").slice(0, 16);
const partOf = (path: string) => (path.startsWith("sql/engine/") ? "engine" : "reference");

const version = (JSON.parse(read("package.json")) as { version: string }).version;
const isReleased = !version.startsWith("0.0.");
if (isReleased && !/^[a-z][a-z0-9_]*$/.test(name)) {
  console.error(`error: NAME="${name}" is no name for a migration: use words_like_this`);
  process.exit(1);
}

const paths = [...read("sql/install.sql").matchAll(/^\\ir (\S+)$/gm)].map(
  (match) => `sql/${match[1]}`,
);

const isWritten = (path: string) => /\/(state|shipped|names)\.sql$/.test(path);

// What each part ships as rows: the calls in the files that sql/install.sql does not build. They are
// kept in a function, which a dump of the structure has, and rows are not.
const calls = readdirSync(`${root}/sql`, { recursive: true, encoding: "utf8" })
  .map((path) => `sql/${path}`)
  .filter((path) => /\/\w+\/.*\.sql$/.test(path) && !paths.includes(path))
  .sort();
const dependencies = /depends_on => '\{([^}]+)\}'/g;
const isOption = (match: RegExpMatchArray) => match[0].startsWith("select maintenance.configure");
const call = /^select maintenance\.(?:set|configure)_(\w+)\(\s*'([^']+)'[\s\S]*?\);$/gm;
for (const path of calls) {
  const rest = read(path)
    .replaceAll(call, "")
    .replaceAll(/^--.*$/gm, "")
    .trim();
  if (rest !== "") {
    console.error(`error: ${path} is not in sql/install.sql, and is no file of calls: ${rest}`);
    process.exit(1);
  }
}
const literal = (text: string) => `E'${text.replace(/[\\']/g, "\\$&").replaceAll("\n", "\\n")}'`;
for (const part of ["engine", "reference"] as const) {
  // What sets a job comes before what configures it, and a job before those that depend on it.
  const found = calls
    .filter((path) => partOf(path) === part)
    .flatMap((path) => [...read(path).matchAll(call)])
    .sort((one, other) => Number(isOption(one)) - Number(isOption(other)));
  const rows = new Map<string, string>();
  const added = new Set<string>();
  const add = (row: string, above: string[]) => {
    if (above.includes(row)) {
      console.error(`error: these wait for each other: ${[...above, row].join(", ")}`);
      process.exit(1);
    }
    if (added.has(row)) return;
    const own = found.filter(([, , name]) => name === row).map(([text, set]) => ({ text, set }));
    for (const [, list = ""] of own.flatMap(({ text }) => [...text.matchAll(dependencies)])) {
      for (const name of list.split(",")) add(name.trim(), [...above, row]);
    }
    added.add(row);
    for (const { text, set = "" } of own) {
      const kind = ["kind", "model"].includes(set) ? set : "job";
      const key = `${literal(kind)}, ${literal(row)}`;
      rows.set(key, [rows.get(key), text].filter(Boolean).join("\n"));
    }
  };
  for (const [, , row = ""] of found) add(row, []);
  writeFileSync(
    `${root}/sql/${part}/shipped.sql`,
    `-- The calls in the files of sql/${part}/ that set jobs, kinds and models, and their shipping. Written
-- by make migration.

create function maintenance_internal.${part}_ships()
returns table (kind text, name text, call text)
language sql
immutable
set search_path = pg_catalog, pg_temp
begin atomic
  select s.kind, s.name, s.call
  from (values
${[...rows].map(([key, text]) => `  (${key}, ${literal(text)})`).join(",\n")}
  ) as s (kind, name, call);
end;

select s.* from maintenance_internal.ship('${part}') as s;
`,
  );
}

// Every name of ours in our two schemas, so that uninstall knows what is not.
const made =
  /^create (?:or replace )?(?:unlogged )?(?:table|view|type|function|procedure) (maintenance\w*\.\w+)/gm;
for (const part of ["engine", "reference"] as const) {
  const names = paths
    .filter((path) => partOf(path) === part && !isWritten(path))
    .flatMap((path) => [...read(path).matchAll(made)])
    .map(([, name = ""]) => `  '${name}'`);
  const own = ["names", "ships"].map((of) => `  'maintenance_internal.${part}_${of}'`);
  writeFileSync(
    `${root}/sql/${part}/names.sql`,
    `-- The names that the files of sql/${part}/ make in our schemas. Written by make migration.

create function maintenance_internal.${part}_names()
returns text[]
language sql
immutable
set search_path = pg_catalog, pg_temp
return array[
${[...new Set([...own, ...names])].sort().join(",\n")}
];
`,
  );
}

// The state of each part, which the database keeps in a comment.
const named = {
  engine: "schema maintenance",
  reference: "function maintenance_internal.reference_objects()",
};
const says = {
  engine: "what people call and read; \\df maintenance.* is the manual.",
  reference: "the names of the reference application, by kind.",
};
for (const part of ["engine", "reference"] as const) {
  const others = paths.filter((path) => partOf(path) === part && !path.endsWith("/state.sql"));
  const state = digest(others.map((path) => `${path} ${digest(read(path))}\n`).join(""));
  writeFileSync(
    `${root}/sql/${part}/state.sql`,
    `-- The release, and a hash of the files of sql/${part}/. Written by make migration.

comment on ${named[part]} is
  'pg-maintenance ${version}, state ${state}: '
  '${says[part]}';
`,
  );
}

const shipped = new Map<string, string>();
let last = 20261124000000 - 1;
for (const folder of Object.values(folders)) {
  mkdirSync(`${root}/${folder}`, { recursive: true });
  if (!isReleased) continue;
  for (const file of readdirSync(`${root}/${folder}`).sort()) {
    last = Math.max(last, Number.parseInt(file, 10));
    for (const [, path, hash] of read(`${folder}/${file}`).matchAll(/^-- from (\S+) (\w+)$/gm)) {
      if (path && hash) shipped.set(path, hash);
    }
  }
}

const changed = paths.filter((path) => shipped.get(path) !== digest(read(path)));
const gone = [...shipped.keys()].filter((path) => !paths.includes(path));

const down = `do $$
begin
  raise exception 'Migrations of pg-maintenance go forward only, and nothing was rolled back. To remove '
    'all of it: select * from maintenance.uninstall(current_database());';
end
$$;
`;
// What a migration creates is bound for good to what its names mean while it runs: nobody's objects
// in public are to be among them. dbmate then goes on under the path that it came with.
const [save = "", set = "", unpin = ""] = [
  ...read("sql/install.sql").matchAll(/^select pg_catalog.*;\n/gm),
].map(([text]) => text.replace("false)", "true)"));
const pin = `${save}${set}\n`;
const now = Number(new Date().toISOString().replace(/\D/g, "").slice(0, 14));
let stamp = isReleased ? Math.max(now, last + 1) : last + 1;
for (const part of ["engine", "reference"] as const) {
  const mine = changed.filter((path) => partOf(path) === part);
  // These come again with every change: the shipped rows get new columns and defaults, and new
  // routines are taken from PUBLIC, and pinned.
  const again = [
    `sql/${part}/shipped.sql`,
    `sql/${part}/roles.sql`,
    `sql/${part}/grant_front_doors.sql`,
  ];
  const files = paths.filter(
    (path) => mine.includes(path) || (changed.length > 0 && again.includes(path)),
  );
  const dropped = gone.filter((path) => partOf(path) === part);
  if (files.length === 0 && dropped.length === 0) continue;

  const blocks = files.map((path) => {
    const holdsData = /^create (unlogged table|table|materialized view) /m.test(read(path));
    const body =
      holdsData && shipped.has(path) ? "-- TODO write the alter statements\n" : code(path);
    return `-- from ${path} ${digest(read(path))}\n${body}-- end of ${path}\n`;
  });
  for (const path of dropped) blocks.push(`-- TODO write the drop statements for ${path}\n`);

  const applied = String(stamp++);
  const file = `${folders[part]}/${applied}_${part}_${isReleased ? name : "initial"}.sql`;
  blocks.push(`insert into maintenance_internal.migration (version) values ('${applied}');\n`);
  writeFileSync(
    `${root}/${file}`,
    `-- migrate:up\n\n${pin}${blocks.join("\n")}\n${unpin}\n-- migrate:down\n\n${down}`,
  );
  console.log(`${file}: ${files.length} files of sql/`);
}
if (changed.length === 0 && gone.length === 0) console.log("Nothing in sql/ has changed.");

// A routine that has shipped is there already: its copy has to say "or replace".
function code(path: string): string {
  const text = read(path);
  return shipped.has(path)
    ? text.replaceAll(/^create (function|procedure|view|trigger) /gm, "create or replace $1 ")
    : text;
}
