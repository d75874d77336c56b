.DEFAULT_GOAL := help
.PHONY: help status doctor report backup run trigger uninstall up down reset psql demo test soak matrix check lint verify migration try bench
SHELL := bash

help: ## Show what there is
	@awk -F ': ## ' '/^[a-z]+: ##/ {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## From a fresh machine to rows maintained by a job that pg_cron fired (COMPANION=1: and a companion)
	@scripts/demo

test: ## From a fresh machine to a green suite, in a cluster of its own
	@scripts/test

soak: ## What kills servers, waits for the real pg_cron or needs a browser, in a cluster of its own
	@scripts/test page crash archive blobs backup e2e control outage silence monitoring

matrix: ## make demo, make test and the adoption on bare machines, Debian 12, 13 and testing (as root; half an hour)
	@scripts/matrix

try: ## One test file against a scratch database made of sql/: FILE=tests/sql/...
	@scripts/try $(FILE)

up: ## Start a private cluster under .postgres/ and install everything (honours DATABASE_URL)
	@scripts/up

down: ## Stop the private cluster
	@scripts/down

reset: ## Throw the private cluster away and start anew
	@scripts/down --reset
	@scripts/up

status: ## What is still to be done, what matters first
	@scripts/status

report: ## The status as a page, with what ran, failed and cost: report.html (DAYS=7, OUT=report.html)
	@scripts/report

doctor: ## What is wrong and what is right, with a fix to paste; ends with 1 where something has failed
	@scripts/doctor

backup: ## Dump to a file, restored once and compared; old ones go (TABLES="public.a public.b", BACKUP_DIR, BACKUP_DAYS)
	@scripts/backup

run: ## Run a job now, and print its result: JOB=cleanup_temp_uploads
	@scripts/run "$$JOB"

trigger: ## Ask for a model's work on everybody: JOB=consolidate, analyze, archive or all
	@scripts/trigger "$$JOB"

uninstall: ## Remove pg-maintenance from the database: CONFIRM=its name
	@scripts/uninstall $(CONFIRM)

psql: ## Open psql on the database
	@scripts/psql

check: lint test
check: ## Everything that has to hold before a commit

lint: ## Types, style, shell and migration lint
	@scripts/lint

verify: ## Prove that db/ and sql/ describe the same database
	@scripts/verify

migration: ## Write a migration of what changed in sql/: NAME=what_changed
	@scripts/new-migration $(NAME)

bench: ## Measure a purge, the queue and the worker beside what is plain; prints ratios (about ten minutes)
	@scripts/bench
