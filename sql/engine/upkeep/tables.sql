-- What was last given of VACUUM, ANALYZE and REINDEX: so that nothing is done twice in a week, what
-- has failed is left alone for longer, what it left behind is known as ours, and an index is
-- measured by what it was when it was last rebuilt.

create table maintenance_internal.upkeep (
  relation text not null,
  action text not null,
  statement text not null,
  reason text not null,
  run_id bigint not null,
  given_at timestamptz not null,
  fires_at timestamptz not null,
  invalid oid[] not null default '{}',
  before jsonb not null,
  finished_at timestamptz,
  outcome text,
  after jsonb,
  failures integer not null default 0,
  leftovers oid[] not null default '{}',
  constraint upkeep_pkey primary key (relation, action),
  constraint upkeep_action_is_known
    check (action in ('vacuum', 'analyze', 'reindex')),
  constraint upkeep_over_has_an_outcome check ((finished_at is null) = (outcome is null)),
  constraint upkeep_outcome_is_known check (outcome in ('done', 'failed', 'not_fired'))
);

-- Never two at once.
create unique index upkeep_given_idx on maintenance_internal.upkeep ((true))
where finished_at is null;

comment on table maintenance_internal.upkeep is
  'One row for each table and index that a statement was given for, and what became of the last.';
comment on column maintenance_internal.upkeep.relation is
  'by name, since an index that is rebuilt has another oid';
comment on column maintenance_internal.upkeep.run_id is 'the run whose plan gave it';
comment on column maintenance_internal.upkeep.fires_at is 'the minute that pg_cron is to run it in';
comment on column maintenance_internal.upkeep.invalid is
  'the invalid indexes that its table had before, which are not ours';
comment on column maintenance_internal.upkeep.failures is 'in a row';
comment on column maintenance_internal.upkeep.leftovers is
  'invalid indexes that a REINDEX of it has left behind';
