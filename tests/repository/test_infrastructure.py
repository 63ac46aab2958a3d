"""The code, its settings and the infrastructure name the same things. What Bicep means is for its compiler to say."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from relay.acceptance.draft import MAX_HTTP_BODY
from relay.bootstrap import configuration
from relay.core import settings as relay_settings
from relay.core.entries import MAX_BATCH_MESSAGES
from relay.core.memory import memory_limits
from relay.core.settings import DEFAULT_LANES, SETTINGS, Lane
from relay.operations.purge import ORPHAN_BLOBS
from relay.platform.resources import AUDIT_CONTAINER, CONTAINERS, TABLES, queues_of
from relay.platform.storage.azure.settings import CONNECTION, Service
from tests.repository.bicep_text import ROOT, bicep, members, modules, parameters, text_list, texts
from tests.requirement_lines import lines_of

MAIN = bicep("main.bicep")
STORAGE = bicep("storage.bicep")
PAGE = (ROOT / "docs/reference/settings.md").read_text()
SAMPLE = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
PARAMETERS = {
    name: str(given["value"])
    for name, given in json.loads((ROOT / "infra/main.parameters.json").read_text())["parameters"].items()
}
OF_RELAY = {setting.name for setting in SETTINGS}
OF_THE_HOST = {"FUNCTIONS_WORKER_RUNTIME", CONNECTION}
NOT_IN_AZURE = {
    "AZURE_TENANT_ID": "for an app registration instead of the managed identity",
    "AZURE_CLIENT_SECRET": "the same",
    "AZURE_AUTHORITY_HOST": "the same",
    "WEBSITE_AUTH_ENABLED": "set by the platform",
    "WEBSITE_INSTANCE_ID": "the same",
}
OF_STORAGE = {f"{CONNECTION}__credential", f"{CONNECTION}__clientId"} | {
    f"{CONNECTION}__{service}ServiceUri" for service in Service
}
TOKEN = "abcdefghijklm"
"""As long as what uniqueString gives."""


def source_files() -> list[Path]:
    """What is deployed. The command line and the SMTP server run elsewhere, with an environment of their own."""
    return [
        ROOT / "function_app.py",
        *(
            path
            for path in (ROOT / "relay").rglob("*.py")
            if path.relative_to(ROOT).parts[1] not in ("cli", "submission")
        ),
    ]


def in_azure() -> dict[str, str]:
    """Every application setting of the deployed app, with its expression."""
    blocks = ("storageSettings", "telemetrySettings", "relaySettings")
    return {name: value for block in blocks for name, value in members(MAIN, block).items()}


def names_read() -> set[str]:
    """What the code reads from its environment by a name that is written out."""
    pattern = re.compile(r"""(?:environ|environment|application)(?:\.get\(|\[)\s*["']([A-Z][A-Z0-9_]+)["']""")
    return {name for path in source_files() for name in pattern.findall(path.read_text())}


# ── settings ──


def test_every_name_read_from_the_environment_is_set_in_azure() -> None:
    assert names_read() - OF_RELAY - NOT_IN_AZURE.keys() - in_azure().keys() == set()


def test_relay_settings_in_azure_match_the_code() -> None:
    assert {name for name in in_azure() if name.startswith(("RELAY_", "SENDGRID_"))} == OF_RELAY


def test_every_relay_name_in_the_code_is_a_setting() -> None:
    used = {name for path in source_files() for name in re.findall(r'"(RELAY_[A-Z_]+)"', path.read_text())}
    assert used - OF_RELAY == set()


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_read(setting: relay_settings.Setting) -> None:
    readers = [path for path in source_files() if path != ROOT / "relay/core/settings.py"]
    assert any(f'"{setting.name}"' in path.read_text() for path in readers)


def test_sample_has_exactly_the_settings() -> None:
    assert SAMPLE.keys() == OF_RELAY | OF_THE_HOST


def test_sample_keeps_the_defaults() -> None:
    changed = {name: value for name, value in SAMPLE.items() if name in OF_RELAY and value}
    assert changed == {}
    without = configuration.load({})
    assert configuration.load(SAMPLE).routes == without.routes


def test_settings_page_matches_the_code() -> None:
    rows = "".join(
        f"| `{each.name}` | {f'`{each.default}`' if each.default else 'empty'} "
        f"| {each.meaning}{' Secret.' if each.is_secret else ''} |\n"
        for each in SETTINGS
    )
    assert rows in PAGE, f"the table in docs/reference/settings.md should be:\n{rows}"


def test_settings_page_lists_the_platforms_settings() -> None:
    named = set(re.findall(r"`([A-Za-z_]+)`", PAGE))
    assert (in_azure().keys() | NOT_IN_AZURE.keys() | OF_THE_HOST) - named == set()


def test_examples_on_the_settings_page_are_valid() -> None:
    examples = re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL)
    names = ("RELAY_ROUTES", "RELAY_ROUTING", "RELAY_LANES")
    settings = configuration.load(dict(zip(names, examples, strict=True)))
    assert (len(settings.routes), len(settings.rules), len(settings.lanes)) == (2, 3, 2)


# ── parameters ──


def test_every_parameter_can_be_set_in_the_azd_environment() -> None:
    assert PARAMETERS.keys() == parameters(MAIN).keys()
    assert [value for value in PARAMETERS.values() if not re.fullmatch(r"\$\{[A-Z0-9_]+(=\w+)?\}", value)] == []
    assert len(set(PARAMETERS.values())) == len(PARAMETERS)


OF_THE_DEPLOYMENT = {"RELAY_INSTANCE_MEMORY_MB": "instanceMemoryMB", "RELAY_AUDIT_ARCHIVE": "auditArchiveDays"}
"""Settings that follow from a parameter of the platform."""


@pytest.mark.parametrize(
    "name", sorted(OF_RELAY - {"RELAY_KEY_VAULT_URL", "SENDGRID_API_KEY"} - OF_THE_DEPLOYMENT.keys())
)
def test_setting_has_an_azd_variable_of_its_name(name: str) -> None:
    words = name.lower().split("_")
    parameter = words[0] + "".join(word.title() for word in words[1:])
    assert PARAMETERS[parameter] == f"${{{name}}}"


@pytest.mark.parametrize("setting", [each for each in SETTINGS if each.default.isdigit()], ids=lambda each: each.name)
def test_numeric_default_is_the_same_in_bicep_and_code(setting: relay_settings.Setting) -> None:
    named = [name for name, value in PARAMETERS.items() if value == f"${{{setting.name}}}"]
    [parameter] = named or [OF_THE_DEPLOYMENT[setting.name]]
    assert parameters(MAIN)[parameter] == setting.default
    assert in_azure()[setting.name] == f"string({parameter})"


def test_no_secret_is_an_application_setting() -> None:
    assert {in_azure()[each.name] for each in SETTINGS if each.is_secret} == {"''"}
    secure = re.findall(r"^@secure\(\)\nparam (\w+)", MAIN, flags=re.MULTILINE)
    assert secure == ["alertWebhookUrl", "sendGridApiKey"]
    assert "sendGridApiKey" not in " ".join(in_azure().values())


# ── storage ──


def test_storage_is_reached_by_identity_alone() -> None:
    settings = members(MAIN, "storageSettings")
    # An empty AzureWebJobsStorage beside these makes the host fail, so the plain name must not be there at all.
    assert settings.keys() == OF_STORAGE
    assert settings[f"{CONNECTION}__credential"] == "'managedidentity'"
    assert "allowSharedKeyAccess: false" in STORAGE


def test_every_queue_table_and_container_is_created() -> None:
    assert text_list(STORAGE, "queues") == list(queues_of(DEFAULT_LANES))
    assert sorted(text_list(STORAGE, "tables")) == sorted(TABLES)
    assert sorted(text_list(STORAGE, "containers")) == sorted(CONTAINERS)


def test_policy_of_the_audit_archive_is_on_when_the_app_writes_it() -> None:
    assert in_azure()["RELAY_AUDIT_ARCHIVE"] == "auditArchiveDays > 0 ? 'true' : ''"
    assert parameters(MAIN)["auditArchiveDays"] == "0"
    assert f"/default/{AUDIT_CONTAINER}'" in STORAGE
    assert re.search(
        r"immutabilityPolicies@[\d-]+' = if \(auditArchiveDays > 0\) \{\n  parent: auditContainer", STORAGE
    )
    assert "allowProtectedAppendWrites: false\n    allowProtectedAppendWritesAll: false" in STORAGE


def test_bicep_names_lane_queues_as_the_code_does() -> None:
    [first, other] = re.findall(r"it\.shard == 1 \? '([^']*)' : '([^']*)'", STORAGE)[0]
    lane = Lane(shards=3)
    made = [
        (first if shard == 1 else other).replace("${it.lane}", "night").replace("${it.shard}", str(shard))
        for shard in range(1, 4)
    ]
    assert made == list(lane.queues("night"))
    assert "queue => '${queue}-poison'" in STORAGE


def test_content_outlives_every_message_that_can_wait_for_it() -> None:
    [kept] = re.findall(r"daysAfterModificationGreaterThan: (\d+) \+ retentionDays", STORAGE)
    assert int(kept) >= ORPHAN_BLOBS.days


# ── identity and names ──


def test_roles_are_the_built_in_ones() -> None:
    """Source: learn.microsoft.com/azure/role-based-access-control/built-in-roles."""
    assert json.loads((ROOT / "infra/roles.json").read_text()) == {
        "blobDataOwner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
        "blobDataContributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
        "queueDataContributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
        "tableDataContributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
        "secretsUser": "4633458b-17de-408a-b874-0445c86b69e6",
        "secretsOfficer": "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
        "metricsPublisher": "3913510d-42f4-4e42-8a64-420c390055eb",
        "emailOwner": "09976791-48a7-449e-bb21-39d1a415f350",
    }


@pytest.mark.parametrize(
    ("file", "given"),
    [
        ("storage.bicep", ["blobDataOwner", "queueDataContributor", "tableDataContributor"]),
        ("vault.bicep", ["secretsUser"]),
        ("monitoring.bicep", ["metricsPublisher"]),
        ("acs.bicep", ["emailOwner"]),
    ],
)
def test_app_has_only_the_roles_it_needs(file: str, given: list[str]) -> None:
    source = bicep(file)
    for_admin = {"blobDataContributor", "secretsOfficer"}
    found = list(dict.fromkeys(re.findall(r"\broles\.(?!json)(\w+)", source)))
    assert [role for role in found if role not in for_admin] == given
    assert source.count("principalId: appPrincipalId") == 1


def test_app_identity_has_no_role_on_the_account_of_its_package() -> None:
    package, app, main = bicep("package.bicep"), bicep("app.bicep"), bicep("main.bicep")
    assert re.findall(r"principalId: (\w+)", package) == ["deploymentPrincipalId"]
    assert "deploymentPrincipalId: deploymentIdentity.outputs.principalId" in main
    assert "userAssignedIdentityResourceId: deploymentIdentityId" in app
    assert "packageContainerUrl: package.outputs.containerUrl" in main
    assert "app-package" not in STORAGE


def test_people_sign_in_by_a_code_that_an_identity_without_a_role_redeems() -> None:
    """Without a client secret's setting App Service authentication uses the implicit flow."""
    app, main = bicep("app.bicep"), bicep("main.bicep")
    [setting] = re.findall(r"clientSecretSettingName: '(\w+)'", app)
    assert f"{{ {setting}: signInIdentityClientId }}" in app
    assert (
        "identities = concat([identityId, deploymentIdentityId], empty(entraClientId) ? [] : [signInIdentityId])" in app
    )
    uses = re.findall(r"signInIdentity!\.outputs\.(\w+)", main)
    assert sorted(uses) == ["clientId", "principalId", "resourceId"]
    assert "output RELAY_SIGN_IN_PRINCIPAL_ID" in main


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("storage.bicep", r"strelay\$\{token\}"),
        ("package.bicep", r"stpackage\$\{token\}"),
        ("vault.bicep", r"kv-relay-\$\{token\}"),
        ("app.bicep", r"func-relay-\$\{token\}"),
    ],
)
def test_generated_names_fit_azure_limits(file: str, pattern: str) -> None:
    [name] = [text for text in texts(bicep(file)) if re.fullmatch(pattern, text)]
    made = name.replace("${token}", TOKEN)
    assert len(made) <= 24
    assert re.fullmatch(
        r"[a-z0-9]+" if file in ("storage.bicep", "package.bicep") else r"[a-z][a-z0-9-]+[a-z0-9]", made
    )


def test_modules_are_pinned_to_one_version() -> None:
    used = modules()
    assert len(used) >= 10
    assert {module: found for module, found in used.items() if len(found) != 1} == {}
    assert [found for [found] in used.values() if not re.fullmatch(r"\d+\.\d+\.\d+", found)] == []


# ── azd and the host ──


def test_docs_name_the_azd_version_that_azure_yaml_requires() -> None:
    required = re.search(r'azd: ">= ([\d.]+)"', (ROOT / "azure.yaml").read_text())
    assert required
    pages = [path for path in (ROOT / "docs").rglob("*.md") if "aka.ms/azd)" in path.read_text()]
    named = {version for path in pages for version in re.findall(r"aka\.ms/azd\) ([\d.]+) or newer", path.read_text())}
    assert named == {required[1]}


def test_azd_finds_the_app_and_the_hooks() -> None:
    azure = (ROOT / "azure.yaml").read_text()
    assert re.search(r"^services:\n  relay:\n", azure, flags=re.MULTILINE)
    assert "'azd-service-name': 'relay'" in bicep("app.bicep")
    hooks = re.findall(r"run: (\S+)", azure)
    assert hooks
    assert [hook for hook in hooks if not (ROOT / hook).is_file()] == []


def test_hooks_install_the_packages_of_the_app_and_command_line() -> None:
    installed = {str(requirement) for requirement, _ in lines_of(ROOT / "hooks/requirements.txt")}
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {str(requirement) for requirement, _ in lines_of(ROOT / "requirements.txt")} <= installed
    assert set(extras["cli"]) <= installed


def test_always_ready_function_exists() -> None:
    [function] = re.findall(r"'function:(\w+)'", bicep("app.bicep"))
    lane = function.removeprefix("deliver_").removesuffix("_1")
    assert function == f"deliver_{lane}_1"
    assert lane in DEFAULT_LANES
    assert 'f"deliver_{_lane}_{_shard}"' in (ROOT / "function_app.py").read_text()


def test_http_concurrency_allows_a_full_shared_entry() -> None:
    assert int(parameters(MAIN)["httpConcurrency"]) >= MAX_BATCH_MESSAGES


def test_settings_page_states_the_limits_of_each_instance_size() -> None:
    sizes = re.findall(r"@allowed\(\[([\d, ]+)\]\)\nparam instanceMemoryMB", MAIN)[0].split(", ")
    for size in map(int, sizes):
        limits = memory_limits(size)
        body = (
            f"{limits.body_bytes // 1_048_576} MB" if limits.body_bytes < MAX_HTTP_BODY else "104 MB (the host's limit)"
        )
        flight = f"{limits.in_flight_bytes // 1_048_576} MB"
        assert f"| {size} MB | {body} | {flight} | {flight} |" in PAGE


def test_small_instance_has_lower_concurrency_that_still_allows_a_full_shared_entry() -> None:
    app = bicep("app.bicep")
    [small] = re.findall(r"isSmall \? min\(httpConcurrency, (\d+)\)", app)
    assert int(small) >= MAX_BATCH_MESSAGES
    queues = json.loads((ROOT / "host.json").read_text())["extensions"]["queues"]
    for name in ("batchSize", "newBatchThreshold"):
        [value] = re.findall(rf"AzureFunctionsJobHost__extensions__queues__{name}: '(\d+)'", app)
        assert int(value) * 2 == queues[name]
    assert f"| 512 MB | 26 MB | 13 MB | 13 MB | {small} | {queues['batchSize'] // 2} |" in PAGE


def test_azure_runtime_is_the_tested_python_version() -> None:
    [version] = re.findall(r"version: '(3\.\d+)'", bicep("app.bicep"))
    assert (ROOT / ".python-version").read_text().strip() == version


def test_deployment_page_states_the_polling_interval() -> None:
    host = json.loads((ROOT / "host.json").read_text())
    interval = host["extensions"]["queues"]["maxPollingInterval"]
    assert interval == "00:00:01"
    assert f"`maxPollingInterval` is `{interval}`" in (ROOT / "docs/deploy.md").read_text()


def test_deployment_page_lists_every_parameter() -> None:
    page = (ROOT / "docs/deploy.md").read_text()
    names = {re.findall(r"\$\{(\w+)", value)[0] for value in PARAMETERS.values()}
    assert {name for name in names - OF_RELAY if f"`{name}`" not in page} == set()
