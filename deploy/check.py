"""Checks the manifests and units of this directory; run by check.sh, which installs what it needs.

Manifests: the strict schemas of several versions of Kubernetes, no key given twice, the restricted
pod security standard, selectors that select, volumes that exist, the version of the workspace.
Units: `systemd-analyze verify`, and its measure of exposure. Both: flags that the binary knows.
"""

import copy
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import yaml
from kubernetes_validate import utils as kubernetes

HERE = pathlib.Path(__file__).resolve().parent
VERSIONS = ["1.29", "1.31", "1.33", "1.35", "1.37"]
# Of 10; what the units have plus a little. A stricter policy than most services of a distribution.
EXPOSURE_MAX = 1.5


class UniqueKeys(yaml.SafeLoader):
    """YAML in which a key that is given twice is an error, as the cluster sees it."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: given twice: {sorted(twice)}")
        return super().construct_mapping(node, deep)


def schema_problems(resource):
    for version in VERSIONS:
        try:
            kubernetes.validate(resource, version, strict=True)
        except kubernetes.ValidationError as error:
            where = ".".join(str(part) for part in error.path)
            yield f"Kubernetes {version}: {where}: {error.message[:300]}"
        except kubernetes.SchemaNotFoundError as error:
            yield error.message


def pod_spec(resource):
    return resource.get("spec", {}).get("template", {}).get("spec")


def containers(resource):
    spec = pod_spec(resource) or {}
    return spec.get("initContainers", []) + spec.get("containers", [])


def pod_problems(resource):
    spec = pod_spec(resource)
    if spec is None:
        return
    pod = spec.get("securityContext", {})
    if pod.get("runAsNonRoot") is not True:
        yield "the pod may run as root"
    if pod.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "the pod has no seccomp profile"
    if spec.get("automountServiceAccountToken") is not False:
        yield "the pod is given a token for the cluster's API"
    volumes = {volume["name"] for volume in spec.get("volumes", [])}
    volumes |= {claim["metadata"]["name"] for claim in resource["spec"].get("volumeClaimTemplates", [])}
    for container in containers(resource):
        name, security = container["name"], container.get("securityContext", {})
        if security.get("allowPrivilegeEscalation") is not False:
            yield f"{name} may gain privileges"
        if security.get("readOnlyRootFilesystem") is not True:
            yield f"{name} may write to its image"
        if security.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{name} keeps capabilities"
        if "memory" not in container.get("resources", {}).get("limits", {}):
            yield f"{name} has no limit of memory"
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes:
                yield f"{name} mounts {mount['name']}, which is no volume"


def selector_problems(resources):
    pods = [it["spec"]["template"]["metadata"]["labels"] for it in resources if pod_spec(it)]
    for resource in resources:
        spec = resource.get("spec", {})
        selector = spec.get("selector") or spec.get("podSelector") or {}
        wanted = selector.get("matchLabels", selector)
        if wanted and not any(wanted.items() <= labels.items() for labels in pods):
            yield f"{resource['kind']} {resource['metadata']['name']} selects no pod"
        for rule in spec.get("ingress", []):
            for peer in rule["from"]:
                wanted = peer["podSelector"]["matchLabels"]
                if not any(wanted.items() <= labels.items() for labels in pods):
                    yield f"{resource['metadata']['name']} lets nobody in"
    services = {it["metadata"]["name"] for it in resources if it["kind"] == "Service"}
    for resource in resources:
        name = resource.get("spec", {}).get("serviceName")
        if name is not None and name not in services:
            yield f"{name} is no Service"
        for container in containers(resource):
            for host in re.findall(r"http://([a-z-]+):", " ".join(container["args"])):
                if host not in services:
                    yield f"{container['name']} connects to {host}, which is no Service"


def image_problems(resource):
    version = re.search(r'(?m)^version = "(.+)"', (HERE.parent / "Cargo.toml").read_text())[1]
    for container in containers(resource):
        if container["image"] != f"dormouse:{version}":
            yield f"{container['image']} is not version {version} of the workspace"


def resource_problems(resource):
    yield from schema_problems(resource)
    yield from pod_problems(resource)
    yield from image_problems(resource)


def proof_that_the_check_bites(resource):
    """A check that lets a misspelt field or a root user pass is itself a problem."""
    misspelt, as_root = copy.deepcopy(resource), copy.deepcopy(resource)
    misspelt["spec"]["template"]["spec"]["terminationGraceSeconds"] = 30
    if not any("terminationGraceSeconds" in problem for problem in schema_problems(misspelt)):
        yield "the schemas let a misspelt field pass"
    as_root["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"] = False
    if not list(pod_problems(as_root)):
        yield "the check lets a root user pass"


def manifest_problems():
    resources = []
    for path in sorted((HERE / "kubernetes").glob("*.yaml")):
        try:
            found = [it for it in yaml.load_all(path.read_text(), UniqueKeys) if it]
        except yaml.YAMLError as error:
            yield f"{path.name}: {error}"
            continue
        for resource in found:
            for problem in resource_problems(resource):
                yield f"{path.name}: {resource['kind']} {resource['metadata']['name']}: {problem}"
        resources += found
    yield from selector_problems(resources)
    with_pods = [it for it in resources if pod_spec(it)]
    if not with_pods:
        yield "there is no manifest with a pod"
    for resource in with_pods:
        yield from proof_that_the_check_bites(resource)
    print(f"deploy: {len(resources)} resources against Kubernetes {', '.join(VERSIONS)}")


def units():
    return sorted((HERE / "systemd").glob("*.service"))


def unit_problems():
    if shutil.which("systemd-analyze") is None:
        print("deploy: units SKIPPED, there is no systemd-analyze")
        return
    with tempfile.TemporaryDirectory() as folder:
        for path in units():
            # Nothing is installed here, so a program that exists stands for ours.
            unit = pathlib.Path(folder) / path.name
            text = path.read_text()
            unit.write_text(text.replace("/usr/bin/dormouse", shutil.which("true")))
            verify = ["systemd-analyze", "verify", "--man=no", str(unit)]
            exposure = ["systemd-analyze", "security", "--offline=true", "--json=off", "--no-pager"]
            exposure += [f"--threshold={round(EXPOSURE_MAX * 10)}", str(unit)]
            for command in (verify, exposure):
                run = subprocess.run(command, capture_output=True, text=True)
                complaints = run.stderr if command is verify else ""
                if run.returncode != 0 or path.name in complaints:
                    said = (run.stderr or run.stdout).strip().splitlines()
                    yield f"{path.name}: {command[1]}: " + "; ".join(said[-3:])
        print(f"deploy: {len(units())} units with systemd-analyze")


def uses_of_flags():
    """Where a flag is used: (where, subcommand, flag)."""
    for path in units():
        text = path.read_text()
        command = re.search(r"(?m)^ExecStart=/usr/bin/dormouse (\w+) (.*)$", text)
        options = re.findall(r'(?m)^(?:Environment="|#   )OPTIONS=(.*?)"?$', text)
        for flag in re.findall(r"--[a-z-]+", " ".join([command[2], *options])):
            yield path.name, command[1], flag
    for path in sorted((HERE / "kubernetes").glob("*.yaml")):
        for resource in yaml.safe_load_all(path.read_text()):
            for container in containers(resource or {}):
                subcommand, *rest = container["args"]
                for flag in filter(lambda word: word.startswith("--"), rest):
                    yield path.name, subcommand, flag


def flag_problems():
    binary = os.environ.get("DORMOUSE_BIN")
    if not binary:
        print("deploy: flags SKIPPED, DORMOUSE_BIN names no binary")
        return
    uses, known = sorted(set(uses_of_flags())), {}
    for where, subcommand, flag in uses:
        if subcommand not in known:
            run = subprocess.run([binary, subcommand, "--help"], capture_output=True, text=True)
            known[subcommand] = set(re.findall(r"--[a-z-]+", run.stdout))
        if flag not in known[subcommand]:
            yield f"{where}: dormouse {subcommand} has no {flag}"
    print(f"deploy: {len(uses)} uses of flags against {binary}")


def main():
    problems = [*manifest_problems(), *unit_problems(), *flag_problems()]
    for problem in problems:
        print(f"deploy: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
