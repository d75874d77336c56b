-- The table of contents: what the database is, in build order; the engine stands alone. README.md
-- beside it follows a purge and a task through these files, and has the order of locks.
--
-- The words, one per concept:
--   job      what is scheduled: a policy, a step function called until it is done, or a statement
--   policy   a job that is a rule over a table
--   due      the rows that a policy would take now
--   run      one execution of a job; its receipt is its row in run_history
--   batch    what a run commits at once
--   task     one question to a model about one subject
--   kind     of task: how it is asked, and what its answer may change
--   control  what is in the way of a run: it waits, is tried again, is ended, or all are paused
--   model    who is asked
--   alert    what somebody is called for, once a cause
--   blob     what a row names in a store outside, and what goes from there after the row
--   upkeep   VACUUM, ANALYZE and REINDEX, where something needs them
--   door     what people call and read, in schema maintenance; the inside is maintenance_internal

-- Nobody's objects in public are to be taken for Postgres' own.
select pg_catalog.set_config('maintenance.path', pg_catalog.current_setting('search_path'), false);
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', false);

\ir engine/schema.sql
\ir engine/owner.sql
\ir engine/clock.sql
\ir engine/find_function.sql
\ir engine/error_text.sql
\ir engine/turn.sql
\ir engine/setting.sql
\ir engine/version.sql
\ir engine/state.sql

-- job: what should be done, and who changed it
\ir engine/job/tables.sql
\ir engine/job/record_edit.sql
\ir engine/job/find_job.sql
\ir engine/job/upsert_job.sql
\ir engine/job/set_job.sql
\ir engine/job/configure_job.sql
\ir engine/job/drop_job.sql

-- policy: a job that is a rule over a table
\ir engine/policy/tables.sql
\ir engine/policy/leaf_tables.sql
\ir engine/policy/find_target.sql
\ir engine/policy/target_alias.sql
\ir engine/policy/find_policy.sql
\ir engine/policy/parse_expression.sql
\ir engine/policy/parse_assign.sql
\ir engine/policy/due_condition.sql
\ir engine/policy/count_statement.sql
\ir engine/policy/piece_statement.sql
\ir engine/policy/count_due.sql
\ir engine/policy/check_keep.sql
\ir engine/policy/put_policy.sql
\ir engine/policy/set_policy.sql
\ir engine/policy/preview.sql
\ir engine/policy/explain_policy.sql
\ir engine/policy/lint_rights.sql
\ir engine/policy/lint_indexes.sql
\ir engine/policy/lint_references.sql
\ir engine/policy/lint_triggers.sql
\ir engine/policy/lint_keep.sql
\ir engine/policy/lint_meaning.sql
\ir engine/policy/lint_trust.sql
\ir engine/policy/check_keys.sql
\ir engine/policy/lint_session.sql
\ir engine/policy/lint.sql

-- control: what is in the way of a run (its rules are below, behind schedule)
\ir engine/control/tables.sql
\ir engine/control/own_statements.sql

-- run: do it
\ir engine/run/tables.sql
\ir engine/run/lock_class.sql
\ir engine/run/is_alive.sql
\ir engine/run/close_dead_runs.sql
\ir engine/run/table_bytes.sql
\ir engine/run/row_keys.sql
\ir engine/run/start_run.sql
\ir engine/run/fault.sql
\ir engine/run/rows_per_page.sql
\ir engine/run/choose_way.sql
\ir engine/run/has_silencing_trigger.sql
\ir engine/run/next_piece.sql
\ir engine/run/find_pieces.sql
\ir engine/run/change_piece.sql
\ir engine/run/call_step.sql
\ir engine/run/work_singly.sql
\ir engine/run/settle_piece.sql
\ir engine/run/end_round.sql
\ir engine/run/count_left.sql
\ir engine/run/decide_stop.sql
\ir engine/run/run_step.sql
\ir engine/run/end_run.sql
\ir engine/run/run_job.sql
\ir engine/run/run_now.sql
\ir engine/run/run_or_raise.sql
\ir engine/run/add_details.sql
\ir engine/run/last_success.sql
\ir engine/run/run_history.sql

-- statement: jobs that pg_cron runs itself, and their receipts
\ir engine/statement/set_statement.sql
\ir engine/statement/statement_tables.sql
\ir engine/statement/skipped_tables.sql
\ir engine/statement/record_statements.sql

-- model: which one may be asked, how often, and what it costs
\ir engine/model/tables.sql
\ir engine/model/set_model.sql
\ir engine/model/model_limits.sql
\ir engine/model/model_states.sql
\ir engine/model/record_usage.sql
\ir engine/model/budget_hold.sql
\ir engine/model/usage_number.sql
\ir engine/model/answered_since.sql

-- queue: ask a model
\ir engine/queue/tables.sql
\ir engine/model/pick_models.sql
\ir engine/model/reserve_call.sql
\ir engine/model/cool_model.sql
\ir engine/model/settle_call.sql
\ir engine/model/lint_models.sql
\ir engine/queue/find_prepare.sql
\ir engine/queue/call_kind.sql
\ir engine/queue/schema_fault.sql
\ir engine/queue/set_kind.sql
\ir engine/queue/find_kind.sql
\ir engine/queue/enqueue_task.sql
\ir engine/queue/settle_task.sql
\ir engine/queue/sweep_leases.sql
\ir engine/queue/task_holds.sql
\ir engine/queue/worker.sql
\ir engine/queue/claim_tasks.sql
\ir engine/queue/erase_subject.sql
\ir engine/queue/lock_task.sql
\ir engine/queue/lock_subject.sql
\ir engine/queue/task_request.sql
\ir engine/queue/parse_answer.sql
\ir engine/queue/answer_fault.sql
\ir engine/queue/apply_answer.sql
\ir engine/queue/pending_answer.sql
\ir engine/queue/complete_task.sql
\ir engine/queue/task_state.sql
\ir engine/queue/extend_lease.sql
\ir engine/queue/fail_task.sql
\ir engine/queue/release_task.sql
\ir engine/queue/retry_task.sql
\ir engine/queue/approve_task.sql
\ir engine/queue/reject_task.sql
\ir engine/queue/restore_row.sql
\ir engine/queue/undo_change.sql
\ir engine/queue/undo_task.sql
\ir engine/queue/undone_keys.sql
\ir engine/queue/given_up.sql
\ir engine/queue/last_looks.sql
\ir engine/queue/trigger_jobs.sql
\ir engine/queue/task_events.sql
\ir engine/queue/task_backlog.sql

-- blob: what is to be deleted from the store when no row names it any more
\ir engine/blob/tables.sql
\ir engine/blob/track_blobs.sql
\ir engine/blob/claim_blobs.sql
\ir engine/blob/settle_blob.sql
\ir engine/blob/retry_blobs.sql
\ir engine/blob/blob_backlog.sql

-- ship: rows that come with a release, and what somebody has made of them. The calls that set them
-- are in jobs.sql, model/models.sql, reference/*/rules.sql and jobs.sql; shipped.sql has them all.
\ir engine/ship/tables.sql
\ir engine/ship/unlike_shipped.sql
\ir engine/ship/ship_row.sql
\ir engine/ship/ship.sql
\ir engine/ship/register.sql

-- schedule: when; the only folder that names cron
\ir engine/schedule/cron_setting.sql
\ir engine/schedule/extension.sql
\ir engine/schedule/tables.sql
\ir engine/schedule/cron_field.sql
\ir engine/schedule/cron_fault.sql
\ir engine/schedule/nearest_minute.sql
\ir engine/schedule/next_run_at.sql
\ir engine/schedule/cron_state.sql
\ir engine/schedule/cron_jobs.sql
\ir engine/schedule/cron_runs.sql
\ir engine/schedule/purge_cron_history_step.sql
\ir engine/schedule/nearest_slot.sql
\ir engine/schedule/check_schedule.sql
\ir engine/schedule/fired_by_cron.sql
\ir engine/schedule/job_status.sql
\ir engine/schedule/cron_checks.sql
\ir engine/schedule/cron_silence.sql
\ir engine/schedule/scheduler_faults.sql
\ir engine/schedule/lint_schedule.sql
\ir engine/schedule/cron_command.sql
\ir engine/schedule/cron_statements.sql
\ir engine/schedule/write_cron_job.sql
\ir engine/schedule/remove_schedule.sql
\ir engine/schedule/record_schedule_edits.sql
\ir engine/schedule/sync_schedule.sql
\ir engine/schedule/repair_command.sql
\ir engine/schedule/repair_addresses.sql
\ir engine/schedule/install_schedules.sql
\ir engine/schedule/set_schedule.sql
\ir engine/schedule/enable_job.sql

-- control: a run that has to wait, is tried again, or has to end
\ir engine/control/window.sql
\ir engine/control/wait.sql
\ir engine/control/stop_sign.sql
\ir engine/control/settle_run.sql
\ir engine/control/start_waiting.sql
\ir engine/control/run_late.sql
\ir engine/control/find_missed.sql
\ir engine/control/signal_runs.sql
\ir engine/control/tick.sql
\ir engine/control/pause.sql

-- health: is it well, and whom does it call
\ir engine/health/job_statistics.sql
\ir engine/health/job_faults.sql
\ir engine/health/backlog.sql
\ir engine/health/alert.sql
\ir engine/health/weekly_report.sql
\ir engine/health/maintenance_status.sql
\ir engine/health/todo.sql
\ir engine/health/index_health.sql
\ir engine/health/table_bloat.sql
\ir engine/health/index_report_step.sql
\ir engine/health/vacuum_holders.sql
\ir engine/health/disk_use.sql
\ir engine/health/health_checks.sql
\ir engine/health/system_health.sql
\ir engine/health/alert_causes.sql
\ir engine/health/alert_monitor.sql
\ir engine/health/setup_checks.sql
\ir engine/health/doctor.sql
\ir engine/health/metric_names.sql
\ir engine/health/metrics.sql

-- upkeep: VACUUM, ANALYZE and REINDEX where something needs them
\ir engine/upkeep/tables.sql
\ir engine/upkeep/full_index_pages.sql
\ir engine/upkeep/upkeep.sql
\ir engine/upkeep/schedule_upkeep.sql
\ir engine/upkeep/continue_upkeep.sql
\ir engine/upkeep/upkeep_step.sql

-- report: the same as a page, one HTML file
\ir engine/report/text.sql
\ir engine/report/style.sql
\ir engine/report/charts.sql
\ir engine/report/status.sql
\ir engine/report/runs.sql
\ir engine/report/failures.sql
\ir engine/report/statistics.sql
\ir engine/report/tasks.sql
\ir engine/report/report_html.sql

\ir engine/names.sql
\ir engine/uninstall.sql
\ir engine/shipped.sql
\ir engine/revoke_defaults.sql
\ir engine/pin.sql
\ir engine/roles.sql

-- the reference application: a subject's tables, its rules, and what only SQL can say
\ir reference/objects.sql
\ir reference/state.sql
\ir reference/settings.sql
\ir reference/touch_updated_at.sql
\ir reference/says_nothing.sql
\ir reference/imports/tables.sql
\ir reference/imports/front_doors.sql
\ir reference/accounts/tables.sql
\ir reference/accounts/subscription_summary.sql
\ir reference/accounts/front_doors.sql
\ir reference/accounts/retention.sql
\ir reference/chat/tables.sql
\ir reference/chat/conversations.sql
\ir reference/attachments/tables.sql
\ir reference/attachments/front_doors.sql
\ir reference/chat/sessions.sql
\ir reference/chat/archiving.sql
\ir reference/chat/apply_archive.sql
\ir reference/profiles/tables.sql
\ir reference/profiles/apply_profile.sql
\ir reference/profiles/analysis.sql
\ir reference/memories/tables.sql
\ir reference/memories/apply_consolidation.sql
\ir reference/memories/consolidation.sql
\ir reference/companion/tables.sql
\ir reference/companion/apply_patch_to_state.sql
\ir reference/companion/patch_jobs.sql
\ir reference/companion/patch_generate.sql
\ir reference/companion/apply_patch_jobs.sql
\ir reference/companion/remember_in_state.sql
\ir reference/companion/memory.sql
\ir reference/companion/posts.sql
\ir reference/study/tables.sql
\ir reference/study/front_doors.sql
\ir reference/study/weekly_summary.sql
\ir reference/study/profile_refresh.sql
\ir reference/usage/tables.sql
\ir reference/usage/count_usage.sql
\ir reference/usage/analyze_usage.sql
\ir reference/usage/monthly_quota.sql
\ir reference/usage/statistics.sql
\ir reference/operations/tables.sql
\ir reference/operations/front_doors.sql
\ir reference/operations/health_check.sql
\ir reference/operations/backup_tables.sql
\ir reference/operations/backup.sql
\ir reference/operations/backup_restore.sql
\ir reference/names.sql
\ir reference/shipped.sql
\ir reference/grant_front_doors.sql

select pg_catalog.set_config('search_path', pg_catalog.current_setting('maintenance.path'), false);
