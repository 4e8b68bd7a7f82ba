"""Google's own Python clients, pointed at the sandbox whose address SANDBOX_URL holds.

It should run fast (--speed 600), so that operations of minutes take less than a second.
"""

import os
import time

from google.auth.credentials import AnonymousCredentials
from google.cloud import run_v2, storage
from google.protobuf import field_mask_pb2
from googleapiclient.discovery import build

URL = os.environ["SANDBOX_URL"]
PROJECT = "cherry-ai-project"
REGION = "us-central1"
PARENT = f"projects/{PROJECT}/locations/{REGION}"


def client(kind):
    options = {"api_endpoint": URL}
    return kind(credentials=AnonymousCredentials(), transport="rest", client_options=options)


def api(name, version):
    """A client made from the published description of an API."""
    options = {"api_endpoint": URL}
    return build(name, version, credentials=AnonymousCredentials(), client_options=options, static_discovery=True)


def storage_client():
    return storage.Client(PROJECT, credentials=AnonymousCredentials(), client_options={"api_endpoint": URL})


def mask(*paths):
    return field_mask_pb2.FieldMask(paths=list(paths))


def done(call, operation):
    """Polls a discovery client's operation."""
    for _ in range(200):
        operation = call(name=operation["name"]).execute()
        if operation.get("done"):
            return operation
        time.sleep(0.05)
    raise AssertionError(f"it does not end: {operation}")


def service(image="us-docker.pkg.dev/p/r/app:1", revision="", **fields):
    """A Cloud Run service with 50 requests per second."""
    container = run_v2.Container(image=image, env=[run_v2.EnvVar(name="SANDBOX_REQUESTS_PER_SECOND", value="50")])
    template = run_v2.RevisionTemplate(containers=[container], revision=revision)
    return run_v2.Service(template=template, ingress=run_v2.IngressTraffic.INGRESS_TRAFFIC_ALL, **fields)


def create_service(services, name, **fields):
    operation = services.create_service(parent=PARENT, service=service(**fields), service_id=name)
    return operation.result(timeout=60)
