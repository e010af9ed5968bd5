"""House rules for the functions: sized, limited, logged, and given exactly the settings that their code reads."""

from __future__ import annotations

import re
from typing import Any

import pytest

from programs.local.cloudformation import read_template
from tests.template.expanded import ExpandedTemplate, expand, referred
from tests.template.functions import FUNCTIONS, SERVICES
from tests.template.permissions import GRANTED
from tests.template.source import ROOT, variables_read

# Read by Powertools and botocore, not by this project's code.
LIBRARY_PREFIXES = ("POWERTOOLS_", "AWS_ENDPOINT_URL_")
# Set by Lambda or `sam local`; no template can.
SET_BY_RUNTIME = {"AWS_SAM_LOCAL", "AWS_LAMBDA_FUNCTION_NAME", "AWS_REGION"}
# An HttpApi gives up after this.
HTTP_API_SECONDS = 30


def test_the_functions_are_those_of_the_design() -> None:
    assert set(expand().of_type("AWS::Lambda::Function")) == set(FUNCTIONS)


@pytest.mark.parametrize(("name", "folder", "handler"), [(n, *f) for n, f in FUNCTIONS.items()])
def test_function_runs_its_folder_on_the_agreed_runtime(name: str, folder: str, handler: str) -> None:
    template = read_template()
    properties = expand().properties(name)

    assert template["Resources"][name]["Properties"]["CodeUri"] == folder
    assert (ROOT / folder / "app.py").is_file()
    assert (properties["Handler"], properties["Runtime"]) == (handler, "python3.13")
    assert properties["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == SERVICES[name]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_has_exactly_the_variables_that_its_code_reads(name: str) -> None:
    declared = {variable for variable in expand().environment(name) if not variable.startswith(LIBRARY_PREFIXES)}
    read = variables_read(ROOT / FUNCTIONS[name][0] / "app.py") - SET_BY_RUNTIME
    # What all functions are given, also one that needs no Stripe.
    of_all = set(read_template()["Globals"]["Function"]["Environment"]["Variables"])

    assert declared - of_all == read - of_all
    assert read <= declared


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    "variable",
    [
        "AWS_ENDPOINT_URL_DYNAMODB",
        "AWS_ENDPOINT_URL_SQS",
        "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    ],
)
def test_what_local_runs_override_is_declared_and_empty(name: str, variable: str) -> None:
    assert expand().environment(name)[variable] == ""


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    "variable", ["STRIPE_API_BASE", "STRIPE_METER_EVENTS_BASE", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRETS"]
)
def test_what_local_runs_override_of_stripe_is_declared_and_empty_where_it_is_read(name: str, variable: str) -> None:
    environment = expand().environment(name)

    assert environment.get(variable) == ("" if "STRIPE_SECRET_ARN" in environment else None)


def test_usage_arrives_without_stripe() -> None:
    assert not [name for name in expand().environment("UsageIngestionFunction") if name.startswith("STRIPE_")]
    assert "StripeSecret" not in GRANTED["UsageIngestionFunction"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_has_memory_a_time_limit_and_one_processor_s_share(name: str) -> None:
    properties = expand().properties(name)

    assert 512 <= properties["MemorySize"] <= 3008
    assert 1 <= properties["Timeout"] <= 900


@pytest.mark.parametrize("name", ["StripeWebhookFunction", "BillingApiFunction"])
def test_function_behind_http_responds_before_the_gateway_gives_up(name: str) -> None:
    assert expand().properties(name)["Timeout"] < HTTP_API_SECONDS


def test_the_hourly_function_never_overlaps_where_concurrency_is_reserved() -> None:
    reserved = expand(ReserveMeteringConcurrency="true").properties("UsageMeteringFunction")
    small_account = expand(ReserveMeteringConcurrency="false").properties("UsageMeteringFunction")

    assert reserved["ReservedConcurrentExecutions"] == 1
    assert "ReservedConcurrentExecutions" not in small_account


def test_without_workers_the_scheduled_function_does_it_all_itself() -> None:
    template = expand(MeteringWorkers="0")

    assert template.environment("UsageMeteringFunction")["METERING_QUEUE_URL"] == ""
    assert template.properties("UsageMeteringWorkerFunctionShard")["Enabled"] is False


@pytest.mark.parametrize("workers", ["2", "4", "8", "16"])
def test_with_workers_the_shards_go_to_the_queue(workers: str) -> None:
    template = expand(MeteringWorkers=workers)
    source = template.properties("UsageMeteringWorkerFunctionShard")

    assert referred(template.environment("UsageMeteringFunction")["METERING_QUEUE_URL"]) == "UsageMeteringQueue"
    assert template.environment("UsageMeteringWorkerFunction")["METERING_WORKERS"] == workers
    assert (source["Enabled"], source["ScalingConfig"]) == (True, {"MaximumConcurrency": workers})


def test_workers_are_a_number_that_sqs_can_limit_to() -> None:
    allowed = read_template()["Parameters"]["MeteringWorkers"]["AllowedValues"]

    assert allowed[0] == 0
    assert min(allowed[1:]) >= 2


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_writes_to_a_log_group_of_its_own(name: str) -> None:
    template = expand()
    groups = [referred(template.properties(function)["LoggingConfig"]["LogGroup"]) for function in FUNCTIONS]

    assert groups.count(f"{name}LogGroup") == 1


def test_every_log_group_has_retention_and_a_name_with_the_stack_in_it() -> None:
    groups = expand(LogRetentionDays="30").of_type("AWS::Logs::LogGroup")

    assert len(groups) == len(FUNCTIONS) + 1
    for group in groups.values():
        assert group["Properties"]["RetentionInDays"] == "30"
        assert "${AWS::StackName}" in group["Properties"]["LogGroupName"]["Fn::Sub"]


def test_no_function_has_a_url_of_its_own() -> None:
    assert expand().of_type("AWS::Lambda::Url") == {}


def test_every_function_has_both_layers() -> None:
    template = expand()
    for name in FUNCTIONS:
        layers = [referred(layer) for layer in template.properties(name)["Layers"]]
        assert [layer[:-10] for layer in layers] == ["DependenciesLayer", "BillingLayer"]


@pytest.mark.parametrize("name", [*FUNCTIONS, "DependenciesLayer", "BillingLayer"])
def test_everything_is_built_by_make_which_needs_no_python_of_the_runtime_s_version(name: str) -> None:
    definition = read_template()["Resources"][name]
    properties = definition["Properties"]
    folder = definition["Metadata"].get("ContextPath") or properties["ContentUri"]

    # Without BuildMethod the raw folder is shipped.
    assert definition["Metadata"]["BuildMethod"] == "makefile"
    targets = re.findall(r"^(build-\S+):", (ROOT / folder / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert targets == [f"build-{name}" if name.endswith("Layer") else "build-%"]


def test_functions_and_libraries_are_for_the_architecture_that_is_asked_for() -> None:
    template = expand(Architecture="arm64")
    layers = {definition["LayerName"]: definition for definition in _layers(template)}

    assert {tuple(template.properties(name)["Architectures"]) for name in FUNCTIONS} == {("arm64",)}
    assert layers["DependenciesLayer"]["CompatibleArchitectures"] == ["arm64"]
    # Python alone, the same for both.
    assert layers["BillingLayer"]["CompatibleArchitectures"] == ["x86_64", "arm64"]
    # The builder's cache goes by it.
    assert read_template()["Resources"]["DependenciesLayer"]["Metadata"]["BuildArchitecture"] == {"Ref": "Architecture"}


def test_a_stack_that_runs_keeps_its_architecture() -> None:
    assert {tuple(expand().properties(name)["Architectures"]) for name in FUNCTIONS} == {("x86_64",)}


def test_other_stacks_find_the_layers_and_keep_the_versions_they_name() -> None:
    template = read_template()
    page = (ROOT / "docs" / "layer.md").read_text(encoding="utf-8")

    for name in ("DependenciesLayer", "BillingLayer"):
        assert template["Outputs"][f"{name}Arn"]["Value"] == {"Ref": name}
        assert f"`{name}Arn`" in page
    assert len(_layers(expand())) == 2
    retained = {item["DeletionPolicy"] for item in expand().of_type("AWS::Lambda::LayerVersion").values()}
    assert retained == {"Retain"}


def test_the_readme_explains_every_setting_that_the_code_reads() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    table = page.split("## Settings\n")[1].split("\n## ")[0]
    first_cells = re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)
    read = {variable for name in FUNCTIONS for variable in variables_read(ROOT / FUNCTIONS[name][0] / "app.py")}

    assert set(re.findall(r"`(\w+)`", " ".join(first_cells))) == read - SET_BY_RUNTIME


def _layers(template: ExpandedTemplate) -> list[dict[str, Any]]:
    return [item["Properties"] for item in template.of_type("AWS::Lambda::LayerVersion").values()]


def test_tracing_is_off_unless_asked_for() -> None:
    assert expand().properties("StripeWebhookFunction")["TracingConfig"] == {"Mode": "PassThrough"}
    assert expand(Tracing="Active").properties("StripeWebhookFunction")["TracingConfig"] == {"Mode": "Active"}
