"""Cloud Run's template: every field of the API, and where our docs say what it is called here."""

import pathlib
import re
import unittest

from google.cloud import run_v2, secretmanager_v1
from google.protobuf import duration_pb2, json_format

from support import PARENT, PROJECT, api, client, mask

DOCS = pathlib.Path(__file__).parents[2] / "docs"
PREFIX = "GoogleCloudRunV2"
SECRET = "py-template"
# What belongs to one of these is a field of its own in the table.
IN_THE_TABLE = ["Service", "RevisionTemplate", "Container"]
# What belongs to one of these is called the same, or is in the table too.
BELOW = [
    "BinaryAuthorization", "CloudSqlInstance", "ContainerPort", "EmptyDirVolumeSource", "EnvVar", "EnvVarSource",
    "GCSVolumeSource", "GRPCAction", "HTTPGetAction", "HTTPHeader", "NFSVolumeSource", "NetworkInterface",
    "NodeSelector", "Probe", "ResourceRequirements", "RevisionScaling", "SecretKeySelector", "SecretVolumeSource",
    "ServiceScaling", "TCPSocketAction", "VersionToPath", "Volume", "VolumeMount", "VpcAccess",
]


def duration(seconds):
    return duration_pb2.Duration(seconds=seconds)


def everything(name):
    """A service that says all that a template can say."""
    app = run_v2.Container(
        name="app", image="us-docker.pkg.dev/p/r/app:1", command=["/app"], args=["--serve"], working_dir="/srv",
        env=[
            run_v2.EnvVar(name="LEVEL", value="info"),
            run_v2.EnvVar(name="KEY", value_source=run_v2.EnvVarSource(
                secret_key_ref=run_v2.SecretKeySelector(secret=SECRET, version="1"))),
        ],
        resources=run_v2.ResourceRequirements(
            limits={"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "1"}, cpu_idle=False, startup_cpu_boost=True),
        ports=[run_v2.ContainerPort(name="h2c", container_port=9090)],
        volume_mounts=[
            run_v2.VolumeMount(name="keys", mount_path="/keys"),
            run_v2.VolumeMount(name="assets", mount_path="/assets", sub_path="v2"),
            run_v2.VolumeMount(name="share", mount_path="/share"),
            run_v2.VolumeMount(name="scratch", mount_path="/scratch"),
            run_v2.VolumeMount(name="cloudsql", mount_path="/cloudsql"),
        ],
        startup_probe=run_v2.Probe(
            http_get=run_v2.HTTPGetAction(path="/ready", port=9090, http_headers=[run_v2.HTTPHeader(name="A", value="b")]),
            initial_delay_seconds=1, timeout_seconds=2, period_seconds=3, failure_threshold=4),
        liveness_probe=run_v2.Probe(
            grpc=run_v2.GRPCAction(port=9090, service="health"), timeout_seconds=2, period_seconds=10, failure_threshold=3),
        depends_on=["proxy"],
    )
    proxy = run_v2.Container(
        name="proxy", image="us-docker.pkg.dev/p/r/proxy:3",
        resources=run_v2.ResourceRequirements(limits={"cpu": "1", "memory": "512Mi"}, cpu_idle=False, startup_cpu_boost=True),
        startup_probe=run_v2.Probe(
            tcp_socket=run_v2.TCPSocketAction(port=9000), timeout_seconds=1, period_seconds=10, failure_threshold=3),
    )
    volumes = [
        run_v2.Volume(name="keys", secret=run_v2.SecretVolumeSource(
            secret=SECRET, default_mode=0o400, items=[run_v2.VersionToPath(path="now", version="1", mode=0o444)])),
        run_v2.Volume(name="assets", gcs=run_v2.GCSVolumeSource(
            bucket="shop-assets", read_only=True, mount_options=["implicit-dirs"])),
        run_v2.Volume(name="share", nfs=run_v2.NFSVolumeSource(server="10.0.0.2", path="/exports", read_only=True)),
        run_v2.Volume(name="scratch", empty_dir=run_v2.EmptyDirVolumeSource(
            medium=run_v2.EmptyDirVolumeSource.Medium.MEMORY, size_limit="64Mi")),
        run_v2.Volume(name="cloudsql", cloud_sql_instance=run_v2.CloudSqlInstance(instances=["p:us-central1:orders"])),
    ]
    template = run_v2.RevisionTemplate(
        revision=f"{name}-one", labels={"team": "core"}, annotations={"example.com/note": "kept"},
        scaling=run_v2.RevisionScaling(min_instance_count=1, max_instance_count=3),
        vpc_access=run_v2.VpcAccess(
            network_interfaces=[run_v2.VpcAccess.NetworkInterface(network="main", subnetwork="run", tags=["web"])],
            egress=run_v2.VpcAccess.VpcEgress.PRIVATE_RANGES_ONLY),
        timeout=duration(60), service_account="worker@cherry-ai-project.iam.gserviceaccount.com",
        containers=[app, proxy], volumes=volumes,
        execution_environment=run_v2.ExecutionEnvironment.EXECUTION_ENVIRONMENT_GEN2,
        max_instance_request_concurrency=40, session_affinity=True,
        node_selector=run_v2.NodeSelector(accelerator="nvidia-l4"), gpu_zonal_redundancy_disabled=True,
    )
    return run_v2.Service(template=template, description="all of it", custom_audiences=["https://api.example.com"])


class Template(unittest.TestCase):
    def test_what_is_written_is_read_back_and_left_alone(self):
        secrets = client(secretmanager_v1.SecretManagerServiceClient)
        secret = {"replication": {"automatic": {}}}
        made = secrets.create_secret(parent=f"projects/{PROJECT}", secret_id=SECRET, secret=secret)
        secrets.add_secret_version(parent=made.name, payload={"data": b"value"})
        services = client(run_v2.ServicesClient)
        sent = everything("py-all")
        made = services.create_service(parent=PARENT, service=sent, service_id="py-all").result(timeout=60)
        told = json_format.MessageToDict(type(made.template).pb(made.template))
        for field, value in json_format.MessageToDict(type(sent.template).pb(sent.template)).items():
            self.assertEqual(told[field], value, field)
        self.assertEqual((made.description, list(made.custom_audiences)), ("all of it", ["https://api.example.com"]))

        made.labels["team"] = "shop"
        changed = services.update_service(service=made, update_mask=mask("labels")).result(timeout=60)
        self.assertEqual(changed.template, made.template)
        revision = client(run_v2.RevisionsClient).get_revision(name=f"{PARENT}/services/py-all/revisions/py-all-one")
        self.assertEqual(revision.containers, made.template.containers)
        self.assertEqual(revision.volumes, made.template.volumes)

    def test_each_field_of_the_api_is_in_our_table(self):
        """By the API's own description: one that Google adds to it is missed here."""
        schemas = api("run", "v2")._rootDesc["schemas"]
        table = (DOCS / "template.md").read_text()
        reference = table + (DOCS / "api.md").read_text()
        missing = []
        for kinds, text in [(IN_THE_TABLE, table), (BELOW, reference)]:
            for kind in kinds:
                for field, told in schemas[PREFIX + kind]["properties"].items():
                    is_set_by_google = told.get("readOnly") or told.get("description", "").startswith("Output only")
                    if not is_set_by_google and not re.search(rf"\b{field}\b", text):
                        missing.append(f"{kind}.{field}")
        self.assertEqual(missing, [])
