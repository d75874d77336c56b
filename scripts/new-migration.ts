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

// What each part ships as rows: its calls that set a job, a kind or a model, for maintenance.register.
// Rows are not in a dump of the structure; functions are.
const call = /^select maintenance\.set_(\w+)\(\s*'([^']+)'[\s\S]*?\);$/gm;
const literal = (text: string) => `E'${text.replace(/[\\']/g, "\\$&").replaceAll("\n", "\\n")}'`;
for (const part of ["engine", "reference"] as const) {
  const rows = paths
    .filter((path) => partOf(path) === part && !isWritten(path))
    .flatMap((path) => [...read(path).matchAll(call)])
    .map(([text, set = "", row = ""]) => {
      const kind = ["kind", "model"].includes(set) ? set : "job";
      return `  (${literal(kind)}, ${literal(row)}, ${literal(text)})`;
    });
  writeFileSync(
    `${root}/sql/${part}/shipped.sql`,
    `-- The calls in the files of sql/${part}/ that set jobs, kinds and models. Written by make migration.

create function maintenance_internal.${part}_ships()
returns table (kind text, name text, call text)
language sql
immutable
set search_path = pg_catalog, pg_temp
begin atomic
  select s.kind, s.name, s.call
  from (values
${rows.join(",\n")}
  ) as s (kind, name, call);
end;
`,
  );
}

// Every name of ours in our two schemas, so that uninstall knows what is not.
const made =
  /^create (?:or replace )?(?:table|view|type|function|procedure) (maintenance\w*\.\w+)/gm;
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
for (const folder of Object.values(folders)) {
  mkdirSync(`${root}/${folder}`, { recursive: true });
  if (!isReleased) continue;
  for (const file of readdirSync(`${root}/${folder}`).sort()) {
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
let stamp = isReleased
  ? Number(new Date().toISOString().replace(/\D/g, "").slice(0, 14))
  : 20261124000000;
for (const part of ["engine", "reference"] as const) {
  const mine = changed.filter((path) => partOf(path) === part);
  // roles.sql takes new routines from PUBLIC, so it comes again with every change of the engine.
  const roles = paths.filter((path) => path === "sql/engine/roles.sql");
  const files = part === "engine" && mine.length > 0 ? [...new Set([...mine, ...roles])] : mine;
  const dropped = gone.filter((path) => partOf(path) === part);
  if (files.length === 0 && dropped.length === 0) continue;

  const blocks = files.map((path) => {
    const holdsData = /^create (table|materialized view) /m.test(read(path));
    const body =
      holdsData && shipped.has(path) ? "-- TODO write the alter statements\n" : code(path);
    return `-- from ${path} ${digest(read(path))}\n${body}-- end of ${path}\n`;
  });
  for (const path of dropped) blocks.push(`-- TODO write the drop statements for ${path}\n`);

  const file = `${folders[part]}/${String(stamp++)}_${part}_${isReleased ? name : "initial"}.sql`;
  writeFileSync(
    `${root}/${file}`,
    `-- migrate:up\n\n${blocks.join("\n")}\n-- migrate:down\n\n${down}`,
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
