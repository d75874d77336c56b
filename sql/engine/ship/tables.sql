-- What was shipped, so that a later release can tell its own former values from what somebody has
-- made of them here; and the same rows as they are in force.

create table maintenance_internal.shipped (
  kind text not null,
  name text not null,
  part text not null,
  job_id integer,
  row jsonb,
  outcome text not null,
  shipped_at timestamptz not null default now(),
  constraint shipped_pkey primary key (kind, name),
  constraint shipped_kind_is_known check (kind in ('job', 'kind', 'model')),
  constraint shipped_part_is_known check (part in ('engine', 'reference'))
);

comment on table maintenance_internal.shipped is
  'The jobs, kinds and models of the release that is installed, each as it was shipped. One that '
  'is here and no more in force was removed by somebody.';
comment on column maintenance_internal.shipped.job_id is
  'which job it became: another one by that name is not ours';
comment on column maintenance_internal.shipped.row is 'null where it could not be shipped';
comment on column maintenance_internal.shipped.outcome is 'what became of it in the last release';

-- The migrations of ours that were applied here, so that uninstall can have dbmate forget them.
create table maintenance_internal.migration (
  version text not null,
  constraint migration_pkey primary key (version)
);

comment on table maintenance_internal.migration is
  'The migrations of pg-maintenance that were applied here; each writes its own row.';

create view maintenance_internal.row_in_force as
select
  'job' as kind,
  j.job_name as name,
  to_jsonb(j) - '{job_id,job_name,enabled,promised_at,look_at,look_since,created_at,updated_at}'
      ::text[]
    || coalesce(to_jsonb(p) - 'job_id', '{}') as row
from maintenance_internal.job as j
left join maintenance_internal.policy as p on p.job_id = j.job_id
union all
select 'kind', k.kind, to_jsonb(k) - array['kind', 'changed_at'] from maintenance.kind as k
union all
select 'model', m.model, to_jsonb(m) - array['model', 'changed_at'] from maintenance.model as m;

comment on view maintenance_internal.row_in_force is
  'What can be shipped, as it is now: every option of a job, with its rule; kinds; models.';
