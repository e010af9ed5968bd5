# Every target makes the environment it needs: a Python (3.11 to 3.14) and PyPI are enough. `make help` lists them.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help environment lint quick test test-deep test-mutants model test-sam verify-stripe demo lock format \
	stripe-simulator dynamodb-local local trigger invoke-webhook invoke-ingestion operate provision requeue-refused openapi build bench-webhook bench-cold-start bench-metering bench-ingestion bench-closing \
	deploy rehearse-deploy rehearse-upgrade clean

ENVIRONMENT := .venv/.made-from-lock
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONPATH := $(CURDIR):$(CURDIR)/layers/billing
export SAM_CLI_TELEMETRY := 0
export UV_PYTHON_DOWNLOADS := never
# The `aws` command goes by AWS_REGION first, boto3 and SAM know the other name only: one region for all of them.
ifdef AWS_REGION
export AWS_DEFAULT_REGION := $(AWS_REGION)
endif

UV := .cache/uv/bin/uv
EXPORT_REQUIREMENTS := $(UV) export --frozen --quiet --no-dev --no-emit-project --no-header --no-annotate
# Deterministic, and faster than one process: every worker has its own tables and its own simulator.
PYTEST := pytest -n 2 --dist worksteal -rs

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

$(ENVIRONMENT): uv.lock pyproject.toml tools/environment.sh tools/uv-requirements.txt
	@tools/environment.sh

environment: $(ENVIRONMENT) ## Make .venv from uv.lock (every other target does so by itself)

# ---------------------------------------------------------------------------------------------------- checks and tests

test: lint ## Run every check, and all tests but those that take minutes or need Docker
	$(UV) lock --check --quiet
	$(EXPORT_REQUIREMENTS) | diff layers/dependencies/requirements.txt - || (echo "run: make lock" && false)
	sam validate --lint --region eu-central-1 # looks up nothing, but wants to be told one
	cfn-lint template.yaml
	$(PYTEST) -m "not sam_local and not deep"
	@echo "Not run here: the built functions in the Lambda image (make test-sam, needs Docker); make test-deep"

quick: lint ## Lint, types and the tests that need no database: the loop of a working day
	$(PYTEST) -q -m "not dynamodb_local and not sam_local and not deep"

lint: $(ENVIRONMENT) ## Check formatting, lint, types, and who imports whom
	ruff format --check --quiet .
	ruff check --quiet .
	mypy
	lint-imports --no-logo --no-cache

test-deep: $(ENVIRONMENT) ## Run all tests and long explorations, with many more generated examples (two hours)
	HYPOTHESIS_PROFILE=deep $(PYTEST) -m "not sam_local"

test-mutants: $(ENVIRONMENT) ## Break every promise in a copy, to see that its tests notice (six minutes)
	python -m programs.mutants

model: $(ENVIRONMENT) ## Search all that can happen to an hour, a webhook, an invoice (ARGS=--deep: for minutes)
	python -m programs.model $(ARGS)
	@echo
	python -m programs.webhook_model $(ARGS)
	@echo
	python -m programs.invoice_model $(ARGS)

# The image for the machine's own processor needs no emulation.
test-sam bench-cold-start: ARCHITECTURE ?= $(if $(filter arm64 aarch64,$(shell uname -m)),arm64,x86_64)
test-sam: build ## Build as on other machines, and invoke the built functions in the Lambda image (needs Docker)
	pytest -rs -m sam_local tests/sam_local

verify-stripe: $(ENVIRONMENT) ## Check what is assumed of Stripe: in the sandbox of STRIPE_SECRET_KEY, else the simulator
	pytest -rs programs/assumptions $${STRIPE_SECRET_KEY:+--stripe-sandbox}

format: $(ENVIRONMENT) ## Format the code and mend what ruff can mend
	ruff format .
	ruff check --fix .

lock: $(ENVIRONMENT) ## Lock again after a change in pyproject.toml, and export the layer's requirements
	$(UV) lock
	$(EXPORT_REQUIREMENTS) --output-file layers/dependencies/requirements.txt
	@tools/environment.sh

# --------------------------------------------------------------------------------------------------- on this machine

demo: $(ENVIRONMENT) ## Bill two simulated months of real temperature records, and compare with Stripe's final invoices
	python -m programs.demo

stripe-simulator: $(ENVIRONMENT) ## Serve the Stripe simulator on port 12111 (HOST=0.0.0.0: for containers too)
	python -m stripe_simulator --host $${HOST:-127.0.0.1} --port $${PORT:-12111}

dynamodb-local: $(ENVIRONMENT) ## Serve DynamoDB Local with the stack's tables on port 8000
	python -m programs.local.dynamodb_local --port $${PORT:-8000}

local: $(ENVIRONMENT) ## Serve the whole stack here, checkout to invoice, and print what to paste (SAM=1: in containers)
	@python -m programs.local $(if $(SAM),--sam) $(ARGS)

trigger: $(ENVIRONMENT) ## Make EVENT=customer.subscription.updated happen in `make local`; without EVENT list what can
	@python -m programs.local.trigger $(EVENT) $(if $(ORGANIZATION),--organization $(ORGANIZATION))

invoke-webhook: $(ENVIRONMENT) ## Sign EVENT=events/stripe/….json, and invoke the built webhook with it (`make local SAM=1`)
	@python -m programs.local.invoke StripeWebhookFunction $(or $(EVENT),'') $(SAM_LOCAL)

invoke-ingestion: $(ENVIRONMENT) ## Let usage of a minute ago arrive as in EVENT=events/usage_ingestion/….json (likewise)
	@python -m programs.local.invoke UsageIngestionFunction $(or $(EVENT),'') $(SAM_LOCAL)

# ------------------------------------------------------------------------------------------------------- operate

# For those who are used to them; make turns every failure into exit code 2, which `./operate` does not.
operate: ## Run the operator's command line: better ./operate --stack sensor-billing-dev status
	@./operate $(ARGS)

provision: ## Likewise: better ./operate --stack sensor-billing-dev provision --apply
	@./operate $(if $(STACK),--stack $(STACK)) provision $(ARGS)

requeue-refused: ## Likewise: better ./operate --stack sensor-billing-dev requeue-refused --dry-run
	@./operate $(if $(STACK),--stack $(STACK)) requeue-refused $(ARGS)

openapi: $(ENVIRONMENT) ## Write docs/openapi.json anew after a change of the billing API
	python -m operations.openapi > docs/openapi.json

# ------------------------------------------------------------------------------------------------- build and deploy

build: $(ENVIRONMENT) ## Build for Lambda, for ENV's architecture or ARCHITECTURE=arm64: bytecode in, what is unused out
	ENV=$(ENV) ARCHITECTURE=$(ARCHITECTURE) tools/build.sh

bench-webhook: $(ENVIRONMENT) ## Measure the webhook beside three others (three minutes)
	python -W ignore -m programs.benchmarks.webhook

bench-metering: $(ENVIRONMENT) ## Measure metering from 1,000 to 50,000 due hours, beside the plain way and the floor
	python -m programs.benchmarks.metering

bench-ingestion: $(ENVIRONMENT) ## Measure how usage events are counted, beside the plain way and the floor
	python -W ignore -m programs.benchmarks.ingestion

bench-closing: $(ENVIRONMENT) ## Measure closing 10,000 billing periods that end at once (half an hour)
	python -W ignore -m programs.benchmarks.closing

bench-cold-start: build ## Measure cold starts in the Lambda image (needs Docker; some minutes)
	python -m programs.benchmarks.cold_start

deploy: build ## Deploy ENV=dev, staging or prod to your AWS region
	python -m tools.deploy $(or $(ENV),dev) $(DEPLOY_ARGS)

rehearse-deploy: build ## Deploy what was built on emulators: create, provision, bill an hour, update, delete (a minute)
	python -m programs.rehearsal

rehearse-upgrade: $(ENVIRONMENT) ## Deploy the version before on emulators, then this one over its hours in every state (a minute)
	python -m programs.rehearsal.upgrade

clean: ## Remove what was built and downloaded
	rm -rf .venv .cache .aws-sam build .mypy_cache .pytest_cache .ruff_cache .hypothesis
