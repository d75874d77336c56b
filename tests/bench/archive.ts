// The original's way of finding what is to be archived: user after user, with all of their old messages
// read and grouped here. Prints sessions, messages and milliseconds.
import { Client } from "pg";

const db = new Client({ connectionString: process.env["TEST_DATABASE_URL"] });
await db.connect();
const started = performance.now();
const day = 86_400_000;
let sessions = 0;
let messages = 0;
const users = await db.query(
  `select u.id, u.role, u.is_guest, s.plan from public.users as u
   left join public.user_subscriptions as s on s.user_id = u.id and s.status = 'active'
   where not u.is_guest and u.deleted_at is null`,
);
for (const user of users.rows) {
  const days = /admin/.test(user.role)
    ? 90
    : /pro/.test(user.plan)
      ? 30
      : /basic/.test(user.plan)
        ? 14
        : 7;
  const cutoff = Date.now() - days * day;
  const { rows } = await db.query(
    `select id, role, content, created_at from public.messages
     where user_id = $1 and deleted_at is null and created_at < $2 order by created_at`,
    [user.id, new Date(Date.now() - day)],
  );
  let session: Date[] = [];
  const end = () => {
    const last = session.at(-1);
    if (last && last.getTime() <= cutoff) {
      sessions += 1;
      messages += session.length;
    }
    session = [];
  };
  for (const { created_at } of rows) {
    const last = session.at(-1);
    if (last && created_at.getTime() - last.getTime() > 15 * 60_000) end();
    session.push(created_at);
  }
  end();
}
console.log(sessions, messages, Math.round(performance.now() - started));
await db.end();
