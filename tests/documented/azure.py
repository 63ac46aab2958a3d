"""Azure's command lines in the documentation: an azd environment that knows this project's names, and the commands of `az`."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from relay.bootstrap.configuration import load
from relay.core.errors import SettingsError
from tests.documented.pages import ROOT
from tests.documented.shell import Called, Result

_GUID = "8f3c1e52-7a0d-4f0e-9b55-000000000001"
AZD = {"init", "up", "provision", "deploy", "down"}
"""Commands without names of this project."""

AZ = {
    "account show": "an id of the reader's tenant",
    "ad app create": "an app registration of the reader's tenant",
    "ad app credential reset": "the same",
    "ad app federated-credential create": "the same; a file after @ must be JSON",
    "ad app update": "the same; a file after @ must be JSON",
    "ad sp create": "the same",
    "functionapp deployment source config-zip": "the group and the app come from outputs of the infrastructure",
    "keyvault secret set": "the vault comes from an output of the infrastructure, or is a placeholder",
    "lock create": "a lock on the reader's storage account",
    "logic workflow create": "the definition must be a file of the repository",
    "storage container immutability-policy lock": "a policy on the reader's storage account",
}
"""The commands of `az` that pages use. Azure's own names cannot be checked here; each says what of it is ours."""

_FROM_HOOKS = {"RELAY_TEST_SENDER", "RELAY_TEST_RECIPIENT", "RELAY_PAUSE_DEPLOYMENTS", "RELAY_ROLLING_UPDATES"}


class AzdEnvironment:
    """What `azd env` holds during a page. Provisioning loads Relay's settings from it, which refuses wrong ones."""

    def __init__(self, outputs: Mapping[str, str]) -> None:
        self._values: dict[str, str] = {}
        known = (ROOT / "infra/main.bicep").read_text()
        self._outputs = {
            name: outputs.get(name, f"{name.lower()}-0") for name in re.findall(r"^output (\w+) ", known, re.M)
        }
        self._outputs["AZURE_ENV_NAME"] = "prod"
        parameters = (ROOT / "infra/main.parameters.json").read_text()
        self._parameters = set(re.findall(r"\$\{(\w+)", parameters)) | _FROM_HOOKS

    def run(self, arguments: Sequence[str]) -> Result:
        """Run `azd` with these arguments."""
        match list(arguments):
            case ["env", "set", name, value]:
                self._set(name, value)
            case ["env", "set-secret", name]:
                self._set(name, "")
            case ["env", "get-value", name]:
                assert name in self._outputs, f"infra/main.bicep has no output {name}"
                return Result(output=self._outputs[name] + "\n")
            case ["hooks", "run", name]:
                assert f"\n  {name}:\n" in (ROOT / "azure.yaml").read_text(), f"azure.yaml has no hook {name}"
            case [command, *options] if command in AZD:
                assert options in ([], ["--template", "."]), f"unknown options of azd {command}: {options}"
                self._provision()
            case _:
                raise AssertionError(f"unknown command: azd {' '.join(arguments)}")
        return Result()

    def _set(self, name: str, value: str) -> None:
        assert name in self._parameters, f"infra/main.parameters.json does not read {name}"
        self._values[name] = value

    def _provision(self) -> None:
        own = {name: value for name, value in self._values.items() if name.startswith("RELAY_")}
        # The infrastructure sets the subscription's tenant.
        tenants = {"RELAY_ENTRA_TENANTS": _GUID}
        try:
            load({**tenants, **own, "SENDGRID_API_KEY": self._values.get("SENDGRID_API_KEY", "")})
        except SettingsError as error:
            raise AssertionError(f"Relay refuses the settings: {error}") from error


def az(called: Called) -> Result:
    """Check a call of `az`, as far as it names something of this project, and return an id."""
    words = [word for word in called.argv[1:] if not word.startswith("@")]
    known = [command for command in AZ if " ".join(words).startswith(f"{command} ")]
    assert known, f"unknown command: az {' '.join(words)}"
    for word in called.argv[1:]:
        if word.startswith("@"):
            json.loads((Path(called.folder) / word[1:]).read_text())
        if word.startswith(("docs/", "infra/")):
            assert (ROOT / word).is_file(), f"there is no {word}"
    return Result(output=f"{_GUID}\n")
