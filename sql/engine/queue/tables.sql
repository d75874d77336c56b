-- What is asked of a model: one row per kind, and one per task.

create table maintenance.kind (
  kind text not null,
  instruction text not null,
  response_schema jsonb not null,
  subjects text not null,
  prepare text not null,
  apply text not null,
  trigger text,
  max_attempts integer not null default 5,
  max_output_tokens integer not null default 2048,
  counters text[] not null default '{}',
  changed_at timestamptz not null default maintenance_internal.moment(),
  constraint kind_pkey primary key (kind),
  constraint kind_max_attempts_is_sane check (max_attempts between 1 and 100),
  constraint kind_max_output_tokens_is_positive check (max_output_tokens > 0)
);

comment on table maintenance.kind is
  'One kind of task per row: what the model is told, the shape of its answer, and the three SQL '
  'functions that choose, prepare and apply. Written by set_kind.';
comment on column maintenance.kind.counters is
  'columns that count or date each update: an undo does not put them back, and they are no edit';
comment on column maintenance.kind.changed_at is 'what was refused before is asked again since';

create trigger forget_refusals before update on maintenance.kind
for each row execute function maintenance_internal.forget_refusals();

create table maintenance.task (
  task_id bigint generated always as identity,
  kind text not null,
  subject text not null,
  state text not null default 'ready',
  priority integer not null default 0,
  options jsonb not null default '{}',
  force boolean not null default false,
  attempts integer not null default 0,
  defers integer not null default 0,
  recoveries integer not null default 0,
  more_room boolean not null default false,
  halvings integer not null default 0,
  available_at timestamptz not null default clock_timestamp(),
  due_at timestamptz not null default clock_timestamp(),
  worker text,
  lease_token uuid,
  lease_expires_at timestamptz,
  leased_at timestamptz,
  claims integer not null default 0,
  claimed_by text,
  asks integer not null default 0,
  again boolean not null default false,
  model text,
  asked_tokens integer,
  asked_hash text,
  context jsonb,
  carry jsonb,
  input_hash text,
  last_class text,
  last_error text,
  failed_at timestamptz,
  held_answer jsonb,
  foreseen jsonb,
  settled_token uuid,
  result jsonb,
  cost_usd numeric not null default 0,
  created_at timestamptz not null default clock_timestamp(),
  finished_at timestamptz,
  constraint task_pkey primary key (task_id),
  constraint task_kind_fkey foreign key (kind) references maintenance.kind (kind),
  constraint task_state_is_known check (state in
    ('ready', 'leased', 'succeeded', 'skipped', 'quarantined', 'dead')),
  constraint task_leased_has_a_lease check (
    (state = 'leased') = (lease_token is not null)
    and (state = 'leased') = (lease_expires_at is not null)
    and (state = 'leased') = (worker is not null)),
  constraint task_again_belongs_to_leased check (not again or state = 'leased'),
  constraint task_ends_when_it_is_over
    check ((state in ('succeeded', 'skipped', 'dead')) = (finished_at is not null)),
  constraint task_dead_has_an_error check (state <> 'dead' or last_error is not null),
  constraint task_quarantined_can_be_decided
    check ((state = 'quarantined') = (held_answer is not null)
      and (state <> 'quarantined' or context is not null)),
  constraint task_priority_is_sane check (priority between -5 and 5),
  constraint task_counts_are_not_negative
    check (attempts >= 0 and defers >= 0 and recoveries >= 0 and halvings >= 0)
) with (fillfactor = 80);

create unique index task_open_is_unique on maintenance.task (kind, subject)
where state in ('ready', 'leased');
create index task_ready_idx on maintenance.task (kind, priority, available_at, task_id)
where state = 'ready';
create index task_leased_idx on maintenance.task (lease_expires_at) where state = 'leased';
-- By pattern: what is below a subject is found by it, too (erase_subject).
create index task_subject_idx on maintenance.task (subject text_pattern_ops, kind, task_id);
create index task_finished_at_idx on maintenance.task (finished_at) where finished_at is not null;
create index task_dead_idx on maintenance.task (finished_at) where state = 'dead';
create index task_quarantined_idx on maintenance.task (task_id) where state = 'quarantined';

comment on table maintenance.task is
  'One question to a model per row. ready waits for available_at; leased is with a worker; '
  'succeeded, skipped and dead are over; quarantined waits for a decision.';
comment on column maintenance.task.subject is
  'what it is about: the id of a user, or of something of theirs, as USER/CONVERSATION: who erases '
  'USER erases that, too';
comment on column maintenance.task.priority is 'the lower goes first, from -5 to 5';
comment on column maintenance.task.defers is
  'failures that were not its own, although no other task has met them: dead after 50';
comment on column maintenance.task.more_room is
  'an answer was cut: max_output_tokens is doubled from then on';
comment on column maintenance.task.halvings is
  'how often it was too large, or its answer was cut although it had more room: prepare is told '
  'to show a half, a quarter and so on';
comment on column maintenance.task.asked_tokens is 'the max_output_tokens of the last request';
comment on column maintenance.task.asked_hash is
  'the hash of the content of the last request, while it goes on or where it was in vain';
comment on column maintenance.task.due_at is 'since when it should have been asked';
comment on column maintenance.task.failed_at is
  'the last failure that may have been the model''s: another one is its own where others were '
  'answered since';
comment on column maintenance.task.leased_at is 'when it was claimed: a lease ends six hours later';
comment on column maintenance.task.claims is
  'how often it was claimed, also where it was given back';
comment on column maintenance.task.claimed_by is 'the login that claimed it last';
comment on column maintenance.task.asks is 'how often its prompt was handed out';
comment on column maintenance.task.again is 'asked for again while leased: another go follows';
comment on column maintenance.task.context is
  'what prepare showed the model: short ids, real ids and versions; gone when the task is over';
comment on column maintenance.task.carry is
  'what its last answer hands on to the next request: the task goes on; gone when it is over';
comment on column maintenance.task.held_answer is
  'the answer that waits for a decision; gone after it';
comment on column maintenance.task.foreseen is
  'what the approval of held_answer would do, for pending_answer';
comment on column maintenance.task.settled_token is
  'the lease that complete_task last settled: its replay returns result';

-- What is kept of a subject when its tasks are gone: what was last asked about, so that the same
-- is not asked twice.
create table maintenance_internal.subject (
  kind text not null,
  subject text not null,
  input_hash text,
  looked_at timestamptz not null,
  constraint subject_pkey primary key (subject, kind),
  constraint subject_kind_fkey foreign key (kind) references maintenance.kind (kind)
    on delete cascade
) with (fillfactor = 80);

create index subject_pattern_idx on maintenance_internal.subject (subject text_pattern_ops);
create index subject_looked_at_idx on maintenance_internal.subject (looked_at);

comment on table maintenance_internal.subject is
  'Of each subject of a kind, the input of its last answer, and when prepare last looked at it.';

-- Whom to forget: noted by whoever deletes somebody, and done by the tick.
create table maintenance_internal.erasure (
  subject text not null,
  kind text not null default '*',
  noted_at timestamptz not null default clock_timestamp(),
  erased_in xid8,
  error text,
  constraint erasure_pkey primary key (subject, kind)
);

comment on table maintenance_internal.erasure is
  'Subjects that are to be forgotten, for a kind or for all (*): no answer about them is taken any '
  'more, and the next tick forgets them, a second time when all transactions of then are over: '
  'one of them may have asked about them. erased_in: the transaction of the first time. error: '
  'why it could not.';

-- The ledger: one operation per row, in the order of the answer. Rows are added and never
-- changed, but to forget what they say; an undo is one more row.
create table maintenance.change (
  change_id bigint generated always as identity,
  task_id bigint not null,
  kind text,
  subject text,
  undoes bigint,
  op text,
  outcome text not null,
  reason text,
  note text,
  keys text[] not null default '{}',
  rows jsonb not null default '[]',
  deletes boolean not null default false,
  made_by text not null default session_user,
  created_at timestamptz not null default maintenance_internal.moment(),
  forgotten_at timestamptz,
  constraint change_pkey primary key (change_id),
  constraint change_is_undone_once unique (undoes),
  constraint change_outcome_is_known check (outcome in ('applied', 'refused')),
  constraint change_refused_has_a_reason check (outcome = 'applied' or reason is not null),
  constraint change_rows_are_a_list check (jsonb_typeof(rows) = 'array')
);

create index change_task_id_idx on maintenance.change (task_id);
create index change_subject_idx on maintenance.change (subject text_pattern_ops, kind);
create index change_created_at_idx on maintenance.change (created_at);
create index change_texts_idx on maintenance.change (created_at)
where forgotten_at is null and not deletes;
create index change_deletes_idx on maintenance.change (created_at)
where deletes and forgotten_at is null;

comment on table maintenance.change is
  'What answers changed, one operation per row, refused ones too. The texts in it, and with them '
  'the undo, go after 30 days (forget_changes), those of what was deleted after the setting '
  'recovery_days (forget_deletions); the row goes after two years (purge_changes).';
comment on column maintenance.change.task_id is 'the task, which may be gone: the ledger stays';
comment on column maintenance.change.kind is 'the kind of the task, and what it was about: subject';
comment on column maintenance.change.undoes is 'the change that this one reversed; it may be gone';
comment on column maintenance.change.reason is 'why it was refused, without any row''s text';
comment on column maintenance.change.note is 'why the model wanted it, in its own words';
comment on column maintenance.change.keys is
  'what the operation is about: ids of rows, or names of fields';
comment on column maintenance.change.forgotten_at is
  'when rows and note were emptied: an undo is not possible any more';
comment on column maintenance.change.rows is
  'one per row that it changed: {table, before, after}, before being null for a new row, after for '
  'one that it deleted; an undo: {table, key, outcome, reason}';
comment on column maintenance.change.deletes is 'rows has what was deleted';
