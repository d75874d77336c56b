-- The rules: one row per job that is a rule over a table.

create table maintenance_internal.policy (
  job_id integer not null,
  target text not null,
  action text not null,
  age text not null,
  age_type text not null,
  keep interval not null,
  matching text,
  assign text,
  index_on text,
  calls text[] not null default '{}',
  trusted_owner text,
  constraint policy_pkey primary key (job_id),
  constraint policy_job_id_fkey foreign key (job_id)
    references maintenance_internal.job (job_id) on delete cascade,
  constraint policy_action_is_known check (action in ('delete', 'update')),
  constraint policy_age_type_is_a_time check (age_type in ('timestamptz', 'timestamp', 'date')),
  constraint policy_keep_is_not_negative check (keep >= interval '0'),
  constraint policy_assign_belongs_to_updates check ((action = 'update') = (assign is not null))
);

comment on table maintenance_internal.policy is
  'The rule of a policy job, in the canonical form that Postgres printed when it was set: '
  'age, matching and assign are never the text that somebody typed.';
comment on column maintenance_internal.policy.target is
  'qualified name of the table, resolved again by every run';
comment on column maintenance_internal.policy.index_on is
  'the expression to index for this rule, as CREATE INDEX takes it; null where it takes none';

comment on column maintenance_internal.policy.matching is 'in it, $1 is the cut-off';
comment on column maintenance_internal.policy.calls is
  'the functions outside of pg_catalog that the rule calls, by its operators and casts, too';
comment on column maintenance_internal.policy.trusted_owner is
  'whose table it may be besides the engine''s owner''s';

create trigger record_edit after update on maintenance_internal.policy
for each row execute function maintenance_internal.record_edit();
