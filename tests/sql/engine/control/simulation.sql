-- What a simulation of some hours finds. tests/control sets other seeds, and two days of each.
begin;
create extension pgtap;
select plan(4);
\set seed 0.4
\set minutes 400
\set least 1
\getenv seed SEED
\getenv minutes MINUTES
\getenv least LEAST
select to_regclass('cron.job') is not null as has_cron \gset
\if :has_cron
select skip('pg_cron is in this database', 4);
\else
\ir simulation.psql
\endif
select * from finish();
rollback;
