"""docs/platforms.md is valid as it is written, and its settings make a service that answers."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from tests.conftest import ROOT
from tests.product.conftest import run
from tests.product.serving import Served, eventually, own, released, serving
from tests.product.stores import BUCKET, Store, moto, tools
from tests.product.test_release_bucket import deploy, follows

__all__ = ["own", "released"]  # fixtures
pytestmark = pytest.mark.slow

PACKAGES = ("awscli", "azure-mgmt-appcontainers", "google-api-python-client")
PORT = 8000  # of service.Dockerfile
# What the page expects of an account: the last line names them for its variables.
ACCOUNT = """
aws iam create-role --role-name ecsTaskExecutionRole --assume-role-policy-document '{}' >/dev/null
aws ecs create-cluster --cluster-name ours >/dev/null
subnets=$(aws ec2 describe-subnets --query 'Subnets[:2].SubnetId' --output text | tr '\\t' ,)
vpc=$(aws ec2 describe-vpcs --query 'Vpcs[0].VpcId' --output text)
group=$(aws ec2 describe-security-groups --query 'SecurityGroups[0].GroupId' --output text)
target=$(aws elbv2 create-target-group --name ours --protocol HTTP --port 8000 --vpc-id "$vpc" \\
  --target-type ip --query 'TargetGroups[0].TargetGroupArn' --output text)
echo "$subnets $group $target"
"""
# Prints the fields that Microsoft's client does not know, each with its path.
UNKNOWN = """
import json, re, sys
from azure.mgmt.appcontainers.models import ContainerApp
def unknown(model, given, path):
    if isinstance(given, list):
        for item, value in zip(model, given):
            unknown(item, value, path)
    elif isinstance(given, dict) and not isinstance(model, type(given)):
        for name, value in given.items():
            attribute = re.sub("(?<!^)([A-Z])", r"_\\1", name).lower()
            if attribute in dir(type(model)):
                unknown(getattr(model, attribute), value, f"{path}.{name}")
            else:
                print(f"{path}.{name}")
given = json.loads(sys.argv[1])
unknown(ContainerApp(given), given, "app")
"""


@dataclass
class Platform:
    """What a platform is told of the service."""

    settings: dict[str, str]
    port: int
    paths: list[str]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("platforms")
    with moto(tools(folder / "tools", *PACKAGES), folder / "store") as store:
        yield store


def section(heading: str) -> str:
    page = (ROOT / "docs/platforms.md").read_text("utf-8")
    return page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def block(heading: str, kind: str) -> str:
    found = re.search(rf"^```{kind}\n(.*?)^```$", section(heading), re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1]


def pairs(listed: list[dict[str, str]]) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in listed}


@pytest.fixture(scope="module")
def on_aws(store: Store, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Platform]:
    """Run the page's lines for AWS; return what moto describes then."""
    folder = tmp_path_factory.mktemp("lines")
    image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/flights@sha256:" + 64 * "0"
    variables: dict[str, Any] = store.settings | {
        "AWS_REGION": "eu-west-1",
        "BUCKET": BUCKET,
        "IMAGE": image,
    }
    variables |= {"PATH": f"{store.tools / 'bin'}:/usr/bin:/bin", "AWS_DEFAULT_REGION": "eu-west-1"}

    def shell(text: str, **more: str) -> str:
        done = run("bash", "-eu", "-c", text, cwd=folder, **(variables | more))
        return done.stdout

    def described(service: str, *words: str) -> Any:
        return json.loads(shell(" ".join(("aws", service, *words))))

    subnets, group, target = shell(ACCOUNT).split()
    names = ("AWS: a role", "ECS on Fargate", "SageMaker")
    lines = "\n".join(block(heading, "sh") for heading in names)
    network = {"SUBNETS": subnets, "SECURITY_GROUP": group, "TARGET_GROUP": target}
    shell(lines, CLUSTER="ours", **network)

    role = described("iam", "get-role --role-name flights")["Role"]
    policies = described("iam", "list-role-policies --role-name flights")["PolicyNames"]
    assert ["bucket", "endpoint"] == sorted(policies)

    service = described("ecs", "describe-services --cluster ours --services flights")["services"][0]
    assert service["loadBalancers"] == [
        {"targetGroupArn": target, "containerName": "service", "containerPort": PORT}
    ]
    used = service["taskDefinition"]
    task = described("ecs", f"describe-task-definition --task-definition {used}")["taskDefinition"]
    first, second = task["containerDefinitions"]
    assert role["Arn"] == task["taskRoleArn"] != task["executionRoleArn"]
    assert second["readonlyRootFilesystem"] and image == second["image"]
    assert first["mountPoints"] == second["mountPoints"]
    assert ["tmp"] == [volume["name"] for volume in task["volumes"]]
    asked = re.findall(r"127\.0\.0\.1:(\d+)(/\w+)", second["healthCheck"]["command"][-1])
    assert [str(PORT)] == [port for port, _ in asked]
    ecs = Platform(pairs(second["environment"]), PORT, [asked[0][1], "/health/ready"])

    variant = described("sagemaker", "describe-endpoint-config --endpoint-config-name flights")
    assert "flights" == variant["ProductionVariants"][0]["ModelName"]
    model = described("sagemaker", "describe-model --model-name flights")
    assert role["Arn"] == model["ExecutionRoleArn"]
    container = model["PrimaryContainer"]
    assert image == container["Image"]
    endpoint = described("sagemaker", "describe-endpoint --endpoint-name flights")
    assert "flights" == endpoint["EndpointConfigName"]
    return {"ecs": ecs, "sagemaker": Platform(container["Environment"], 8080, ["/ping"])}


def cloud_run() -> Platform:
    container = yaml.safe_load(block("Cloud Run", "yaml"))["spec"]["template"]["spec"]["containers"]
    paths = [container[0][f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness")]
    return Platform(pairs(container[0]["env"]), container[0]["ports"][0]["containerPort"], paths)


def container_apps() -> Platform:
    app = yaml.safe_load(block("Container Apps", "yaml"))["properties"]
    container = app["template"]["containers"][0]
    asked = [probe["httpGet"] for probe in container["probes"]]
    port = app["configuration"]["ingress"]["targetPort"]
    assert {port} == {probe["port"] for probe in asked}
    return Platform(pairs(container["env"]), port, [probe["path"] for probe in asked])


def test_google_knows_each_field_of_cloud_run(store: Store) -> None:
    given = yaml.safe_load(block("Cloud Run", "yaml"))
    found = store.tools.glob(
        "lib/*/site-packages/googleapiclient/discovery_cache/documents/run.v1.json"
    )
    schemas = json.loads(next(found).read_text())["schemas"]
    known = re.findall(r"`([\w./-]+)`: [^`*]*Revision", json.dumps(schemas["ObjectMeta"]))
    for schema in schemas.values():
        if schema.get("properties"):
            schema["additionalProperties"] = False
        schema.pop("id")
    text = re.sub(r'"\$ref": "(\w+)"', r'"$ref": "#/$defs/\1"', json.dumps(schemas))
    text = text.replace('"type": "any"', '"description": ""')  # no type of JSON Schema
    schema = {"$ref": "#/$defs/Service", "$defs": json.loads(text)}

    errors = jsonschema_rs.validator_for(schema).iter_errors(given)

    assert [] == [f"{error.instance_path}: {error.message}" for error in errors]
    assert set(given["spec"]["template"]["metadata"]["annotations"]) <= set(known)


def test_microsoft_knows_each_field_of_container_apps(store: Store) -> None:
    given = yaml.safe_load(block("Container Apps", "yaml"))
    python = store.tools / "bin/python"

    assert "" == run(python, "-c", UNKNOWN, json.dumps(given), cwd=store.folder).stdout


def test_a_service_with_these_settings_answers_what_the_platforms_ask(
    own: Served, store: Store, on_aws: dict[str, Platform], tmp_path: Path
) -> None:
    platforms = {**on_aws, "cloud run": cloud_run(), "container apps": container_apps()}
    settings: dict[str, str] = {}
    for name, platform in platforms.items():
        assert int(platform.settings.get("PORT", PORT)) == platform.port, name
        here = {
            key: re.sub(r"^\w+://\w+/", f"s3://{BUCKET}/", re.sub("^/tmp/", f"{tmp_path}/", value))
            for key, value in platform.settings.items()
            if not key.startswith(("AWS_", "AZURE_", "PORT"))
        }
        assert here == (settings or here), name
        settings = here
    places = {**store.settings, "AWS_REGION": on_aws["ecs"].settings["AWS_REGION"], **settings}
    candidates = own.folder / f"releases/s3/{BUCKET}/releases/candidates"
    candidates.parent.mkdir(parents=True)
    candidates.symlink_to(own.folder / "releases/candidates")
    deploy(own, "good", {**store.settings, "RELEASES": settings["RELEASES"]})

    with serving(own, places) as service:
        assert follows(service, "good"), service.log.read_text()
        for platform in platforms.values():
            assert [200] * len(platform.paths) == [service.get(path)[0] for path in platform.paths]
        assert 0 == service.stop()

    assert eventually(lambda: store.sizes("logs/production/"))
    caches = [settings["RELEASES_CACHE"], settings["LOGS_CACHE"]]
    assert all(any(Path(cache).iterdir()) for cache in caches)
