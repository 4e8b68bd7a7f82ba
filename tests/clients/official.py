"""Google's own Python clients against the sandbox: what they send is understood, what it answers they understand.

    official.py http://127.0.0.1:PORT

The sandbox should run fast (--speed 600), so that operations of minutes take less than a second.
"""

import datetime
import json
import sys
import time
import unittest
import urllib.request

from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import redis_v1, run_v2, secretmanager_v1, storage, vpcaccess_v1
from google.iam.v1 import iam_policy_pb2, policy_pb2
from google.protobuf import duration_pb2, field_mask_pb2, timestamp_pb2
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

URL = sys.argv.pop() if len(sys.argv) > 1 else ""
PROJECT = "cherry-ai-project"
REGION = "us-central1"
PARENT = f"projects/{PROJECT}/locations/{REGION}"
LATEST = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST
REVISION = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION


def client(kind):
    options = {"api_endpoint": URL}
    return kind(credentials=AnonymousCredentials(), transport="rest", client_options=options)


def api(name, version):
    """A client made from the published description of an API."""
    options = {"api_endpoint": URL}
    return build(name, version, credentials=AnonymousCredentials(), client_options=options, static_discovery=True)


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


class CloudRun(unittest.TestCase):
    def setUp(self):
        self.services, self.revisions = client(run_v2.ServicesClient), client(run_v2.RevisionsClient)

    def service(self, image="us-docker.pkg.dev/p/r/app:1", revision="", **fields):
        container = run_v2.Container(image=image, env=[run_v2.EnvVar(name="SANDBOX_REQUESTS_PER_SECOND", value="50")])
        template = run_v2.RevisionTemplate(containers=[container], revision=revision)
        return run_v2.Service(template=template, ingress=run_v2.IngressTraffic.INGRESS_TRAFFIC_ALL, **fields)

    def create(self, name, **fields):
        operation = self.services.create_service(parent=PARENT, service=self.service(**fields), service_id=name)
        return operation.result(timeout=60)

    def test_a_service_goes_from_create_to_delete(self):
        made = self.create("py-life", labels={"team": "core"})
        self.assertEqual(made.name, f"{PARENT}/services/py-life")
        self.assertEqual(made.terminal_condition.state, run_v2.Condition.State.CONDITION_SUCCEEDED)
        self.assertEqual((made.generation, made.observed_generation, made.reconciling), (1, 1, False))
        first = made.latest_ready_revision.rsplit("/", 1)[1]

        # What was read is written back, output-only fields and all, with another image and pinned traffic.
        read = self.services.get_service(name=made.name)
        read.template.containers[0].image = "us-docker.pkg.dev/p/r/app:2"
        read.template.revision = "py-life-two"
        read.traffic = [
            run_v2.TrafficTarget(type_=REVISION, revision=first, percent=90),
            run_v2.TrafficTarget(type_=REVISION, revision="py-life-two", percent=10, tag="next"),
        ]
        changed = self.services.update_service(service=read).result(timeout=60)
        self.assertEqual([t.percent for t in changed.traffic_statuses], [90, 10])
        self.assertTrue(changed.traffic_statuses[1].uri.startswith("https://next---"))
        self.assertEqual(changed.generation, 2)

        listed = [r.name.rsplit("/", 1)[1] for r in self.revisions.list_revisions(parent=made.name)]
        self.assertEqual(listed, ["py-life-two", first])
        everywhere = list(self.revisions.list_revisions(parent=f"{PARENT}/services/-"))
        self.assertLessEqual(set(listed), {r.name.rsplit("/", 1)[1] for r in everywhere})
        self.services.delete_service(name=made.name).result(timeout=60)
        with self.assertRaises(exceptions.NotFound):
            self.services.get_service(name=made.name)

    def test_masks_etags_and_checks(self):
        made = self.create("py-masks")
        stale = made.etag
        made.description = "described"
        made.template.containers[0].image = "not:looked-at"
        changed = self.services.update_service(service=made, update_mask=mask("description")).result(timeout=60)
        self.assertEqual(changed.description, "described")
        self.assertEqual(changed.template.containers[0].image, "us-docker.pkg.dev/p/r/app:1")
        changed.etag = stale
        with self.assertRaises(exceptions.Conflict):
            self.services.update_service(service=changed)
        changed.etag = ""
        changed.scaling.min_instance_count = 3
        changed.scaling.max_instance_count = 9
        one = self.services.update_service(service=changed, update_mask=mask("scaling.min_instance_count"))
        scaling = one.result(timeout=60).scaling
        self.assertEqual((scaling.min_instance_count, scaling.max_instance_count), (3, 0))

        changed.traffic = [run_v2.TrafficTarget(type_=LATEST, percent=60)]
        with self.assertRaises(exceptions.BadRequest) as refused:
            self.services.update_service(service=changed, update_mask=mask("traffic"))
        self.assertEqual(refused.exception.details[0]["fieldViolations"][0]["field"], "traffic")
        changed.traffic = [run_v2.TrafficTarget(type_=REVISION, revision="py-masks-none", percent=100)]
        with self.assertRaises(exceptions.GoogleAPICallError) as failed:
            self.services.update_service(service=changed, update_mask=mask("traffic")).result(timeout=60)
        self.assertEqual(failed.exception.code, 500)
        self.assertIn("does not exist or is deleted", str(failed.exception))

    def test_validate_only_and_allow_missing(self):
        checked = self.services.create_service(
            run_v2.CreateServiceRequest(
                parent=PARENT, service=self.service(), service_id="py-checked", validate_only=True
            )
        )
        self.assertTrue(checked.done())
        with self.assertRaises(exceptions.NotFound):
            self.services.get_service(name=f"{PARENT}/services/py-checked")
        wanted = self.service()
        wanted.name = f"{PARENT}/services/py-missing"
        request = run_v2.UpdateServiceRequest(service=wanted, allow_missing=True)
        made = self.services.update_service(request).result(timeout=60)
        self.assertEqual(made.name, wanted.name)
        wanted.template.containers[0].image = "app:2"
        check = self.services.update_service(run_v2.UpdateServiceRequest(service=wanted, validate_only=True))
        self.assertTrue(check.done())
        self.assertEqual(self.services.get_service(name=made.name).generation, 1)

    def test_a_revision_name_is_used_once(self):
        made = self.create("py-names", revision="py-names-one")
        made.template.containers[0].image = "app:2"
        with self.assertRaises(exceptions.Conflict) as refused:
            self.services.update_service(service=made)
        self.assertIn("with different configuration already exists", str(refused.exception))
        with self.assertRaises(exceptions.BadRequest):
            self.revisions.delete_revision(name=f"{made.name}/revisions/py-names-one")

    def test_a_container_that_does_not_start_says_why(self):
        service = self.service()
        service.template.containers[0].env.append(run_v2.EnvVar(name="SANDBOX_STARTUP", value="fail"))
        with self.assertRaises(exceptions.GoogleAPICallError) as failed:
            self.services.create_service(parent=PARENT, service=service, service_id="py-broken").result(timeout=60)
        self.assertIn("is not ready and cannot serve traffic", str(failed.exception))
        condition = self.services.get_service(name=f"{PARENT}/services/py-broken").terminal_condition
        self.assertEqual(condition.state, run_v2.Condition.State.CONDITION_FAILED)
        reason = run_v2.Condition.RevisionReason.HEALTH_CHECK_CONTAINER_ERROR
        self.assertEqual(condition.revision_reason, reason)

    def test_lists_come_by_the_page(self):
        for number in range(3):
            self.create(f"py-page-{number}")
        pages = list(self.services.list_services(run_v2.ListServicesRequest(parent=PARENT, page_size=2)).pages)
        self.assertGreater(len(pages), 1)
        self.assertTrue(all(len(page.services) <= 2 for page in pages))
        with self.assertRaises(exceptions.BadRequest):
            self.services.list_services(parent=f"projects/{PROJECT}/locations/-")

    def test_policies_are_changed_by_whoever_read_them_last(self):
        name = self.create("py-policy").name
        policy = self.services.get_iam_policy(iam_policy_pb2.GetIamPolicyRequest(resource=name))
        policy.bindings.append(policy_pb2.Binding(role="roles/run.invoker", members=["allUsers"]))
        request = iam_policy_pb2.SetIamPolicyRequest(resource=name, policy=policy)
        self.assertEqual(self.services.set_iam_policy(request).bindings[0].members, ["allUsers"])
        with self.assertRaises(exceptions.Conflict):
            self.services.set_iam_policy(request)
        asked = iam_policy_pb2.TestIamPermissionsRequest(resource=name, permissions=["run.services.get"])
        self.assertEqual(self.services.test_iam_permissions(asked).permissions, ["run.services.get"])

    def test_the_discovery_client_reads_names(self):
        self.create("py-names-of-enums")
        services = api("run", "v2").projects().locations().services()
        read = services.get(name=f"{PARENT}/services/py-names-of-enums").execute()
        self.assertEqual(read["ingress"], "INGRESS_TRAFFIC_ALL")
        self.assertEqual((read["generation"], read["observedGeneration"]), ("1", "1"))


class Memorystore(unittest.TestCase):
    def setUp(self):
        self.redis = client(redis_v1.CloudRedisClient)

    def create(self, name, **fields):
        instance = redis_v1.Instance(**fields)
        made = self.redis.create_instance(parent=PARENT, instance_id=name, instance=instance)
        return made.result(timeout=60)

    def test_an_instance_goes_from_create_to_delete(self):
        tier = redis_v1.Instance.Tier.STANDARD_HA
        made = self.create("py-life", tier=tier, memory_size_gb=5, auth_enabled=True)
        self.assertEqual((made.state, made.tier), (redis_v1.Instance.State.READY, tier))
        self.assertEqual((made.port, made.replica_count), (6379, 1))
        self.assertTrue(self.redis.get_instance_auth_string(name=made.name).auth_string)
        made.memory_size_gb = 10
        changed = self.redis.update_instance(update_mask=mask("memory_size_gb"), instance=made).result(timeout=60)
        self.assertEqual(changed.memory_size_gb, 10)
        moved = self.redis.failover_instance(name=made.name).result(timeout=60)
        self.assertNotEqual(moved.current_location_id, made.current_location_id)
        newer = self.redis.upgrade_instance(name=made.name, redis_version="REDIS_7_4").result(timeout=60)
        self.assertEqual(newer.redis_version, "REDIS_7_4")
        with self.assertRaises(exceptions.BadRequest):
            self.redis.upgrade_instance(name=made.name, redis_version="REDIS_5_0")
        everywhere = self.redis.list_instances(parent=f"projects/{PROJECT}/locations/-")
        self.assertIn(made.name, [instance.name for instance in everywhere])
        self.redis.delete_instance(name=made.name).result(timeout=60)
        with self.assertRaises(exceptions.NotFound):
            self.redis.get_instance(name=made.name)

    def test_what_cannot_be_changed_is_refused(self):
        made = self.create("py-fixed", tier=redis_v1.Instance.Tier.BASIC, memory_size_gb=1)
        with self.assertRaises(exceptions.BadRequest):
            self.redis.update_instance(update_mask=mask("tier"), instance=made)
        with self.assertRaises(exceptions.BadRequest):
            self.redis.failover_instance(name=made.name)
        made.memory_size_gb = 2
        self.redis.update_instance(update_mask=mask("memory_size_gb"), instance=made)
        with self.assertRaises(exceptions.BadRequest):
            self.redis.delete_instance(name=made.name)

    def test_data_is_exported_and_imported(self):
        objects = storage_client()
        bucket = objects.create_bucket("py-redis-backup")
        made = self.create("py-data", tier=redis_v1.Instance.Tier.BASIC, memory_size_gb=1)
        to = {"gcs_destination": {"uri": "gs://py-redis-backup/dump.rdb"}}
        self.redis.export_instance(name=made.name, output_config=to).result(timeout=60)
        self.assertTrue(bucket.get_blob("dump.rdb").download_as_bytes())
        source = {"gcs_source": {"uri": "gs://py-redis-backup/dump.rdb"}}
        self.redis.import_instance(name=made.name, input_config=source).result(timeout=60)
        nowhere = {"gcs_destination": {"uri": "gs://py-no-such-bucket/dump.rdb"}}
        with self.assertRaises(exceptions.GoogleAPICallError):
            self.redis.export_instance(name=made.name, output_config=nowhere).result(timeout=60)

    def test_operations_say_explicitly_that_they_are_not_done(self):
        instances = api("redis", "v1").projects().locations().instances()
        body = {"tier": "BASIC", "memorySizeGb": 1}
        started = instances.create(parent=PARENT, instanceId="py-plain", body=body).execute()
        self.assertIs(started["done"], False)
        ended = done(api("redis", "v1").projects().locations().operations().get, started)
        self.assertEqual(ended["response"]["@type"], "type.googleapis.com/google.cloud.redis.v1.Instance")
        self.assertIn("endTime", ended["metadata"])


class SecretManager(unittest.TestCase):
    def setUp(self):
        self.secrets = client(secretmanager_v1.SecretManagerServiceClient)

    def create(self, name, **fields):
        secret = {"replication": {"automatic": {}}, **fields}
        return self.secrets.create_secret(parent=f"projects/{PROJECT}", secret_id=name, secret=secret)

    def test_versions_are_added_read_and_destroyed(self):
        made = self.create("py-life", labels={"team": "core"})
        self.assertNotIn(PROJECT, made.name)
        for value in [b"one", b"two", b"three"]:
            added = self.secrets.add_secret_version(parent=made.name, payload={"data": value})
        self.assertTrue(added.name.endswith("/versions/3"))
        read = self.secrets.access_secret_version(name=f"projects/{PROJECT}/secrets/py-life/versions/latest")
        self.assertEqual((read.name, read.payload.data), (added.name, b"three"))
        states = secretmanager_v1.SecretVersion.State
        self.assertEqual(self.secrets.disable_secret_version(name=added.name).state, states.DISABLED)
        with self.assertRaises(exceptions.BadRequest):
            self.secrets.access_secret_version(name=added.name)
        self.secrets.enable_secret_version(name=added.name)
        destroyed = self.secrets.destroy_secret_version(name=added.name)
        self.assertEqual(destroyed.state, states.DESTROYED)
        self.assertTrue(destroyed.destroy_time)
        with self.assertRaises(exceptions.BadRequest):
            self.secrets.enable_secret_version(name=added.name)
        request = {"parent": made.name, "page_size": 2}
        versions = list(self.secrets.list_secret_versions(request=request))
        self.assertEqual([v.name.rsplit("/", 1)[1] for v in versions], ["3", "2", "1"])
        enabled = self.secrets.list_secret_versions(request={"parent": made.name, "filter": "state:ENABLED"})
        self.assertEqual(len(list(enabled)), 2)
        self.secrets.delete_secret(name=made.name)
        with self.assertRaises(exceptions.NotFound):
            self.secrets.get_secret(name=made.name)

    def test_aliases_name_versions(self):
        made = self.create("py-alias")
        for value in [b"one", b"two"]:
            self.secrets.add_secret_version(parent=made.name, payload={"data": value})
        made = self.secrets.get_secret(name=made.name)
        made.version_aliases = {"live": 1}
        changed = self.secrets.update_secret(secret=made, update_mask=mask("version_aliases"))
        self.assertEqual(dict(changed.version_aliases), {"live": 1})
        read = self.secrets.access_secret_version(name=f"{made.name}/versions/live")
        self.assertEqual(read.payload.data, b"one")
        with self.assertRaises(exceptions.BadRequest):
            self.secrets.update_secret(secret=made, update_mask=mask("version_aliases"))
        changed.version_aliases = {"none": 7}
        with self.assertRaises(exceptions.BadRequest):
            self.secrets.update_secret(secret=changed, update_mask=mask("version_aliases"))

    def test_rotation_needs_someone_to_tell(self):
        soon = timestamp_pb2.Timestamp()
        soon.FromDatetime(datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=400))
        rotation = {"next_rotation_time": soon, "rotation_period": duration_pb2.Duration(seconds=7200)}
        with self.assertRaises(exceptions.BadRequest):
            self.create("py-rotation", rotation=rotation)
        made = self.create("py-rotation", rotation=rotation, topics=[{"name": f"projects/{PROJECT}/topics/rotate"}])
        self.assertEqual(made.rotation.rotation_period.total_seconds(), 7200)
        timed = self.create("py-ttl", ttl=duration_pb2.Duration(seconds=864000))
        self.assertTrue(timed.expire_time)

    def test_policies(self):
        name = self.create("py-policy").name
        policy = self.secrets.get_iam_policy(iam_policy_pb2.GetIamPolicyRequest(resource=name))
        role = "roles/secretmanager.secretAccessor"
        policy.bindings.append(policy_pb2.Binding(role=role, members=["user:a@example.com"]))
        changed = self.secrets.set_iam_policy(iam_policy_pb2.SetIamPolicyRequest(resource=name, policy=policy))
        self.assertEqual(changed.bindings[0].role, role)


class VpcAccess(unittest.TestCase):
    def test_a_connector_only_grows(self):
        connectors = client(vpcaccess_v1.VpcAccessServiceClient)
        wanted = {"network": "default", "ip_cidr_range": "10.8.0.0/28", "min_instances": 2, "max_instances": 4}
        made = connectors.create_connector(parent=PARENT, connector_id="py-connector", connector=wanted)
        made = made.result(timeout=60)
        self.assertEqual(made.state, vpcaccess_v1.Connector.State.READY)
        self.assertEqual((made.min_throughput, made.max_throughput), (200, 400))
        plain = api("vpcaccess", "v1").projects().locations()
        grow = {"minInstances": 3, "maxInstances": 6}
        started = plain.connectors().patch(name=made.name, updateMask="minInstances,maxInstances", body=grow).execute()
        self.assertEqual(done(plain.operations().get, started)["response"]["maxInstances"], 6)
        with self.assertRaises(HttpError) as refused:
            plain.connectors().patch(name=made.name, updateMask="maxInstances", body={"maxInstances": 5}).execute()
        self.assertEqual(refused.exception.status_code, 400)
        connectors.delete_connector(name=made.name).result(timeout=60)
        self.assertNotIn(made.name, [c.name for c in connectors.list_connectors(parent=PARENT)])


class Iam(unittest.TestCase):
    def test_service_accounts(self):
        accounts = api("iam", "v1").projects().serviceAccounts()
        body = {"accountId": "py-account", "serviceAccount": {"displayName": "one"}}
        made = accounts.create(name=f"projects/{PROJECT}", body=body).execute()
        self.assertEqual(made["email"], f"py-account@{PROJECT}.iam.gserviceaccount.com")
        with self.assertRaises(HttpError) as refused:
            accounts.create(name=f"projects/{PROJECT}", body=body).execute()
        self.assertEqual(refused.exception.status_code, 409)
        patch = {"serviceAccount": {"displayName": "two"}, "updateMask": "displayName"}
        self.assertEqual(
            accounts.patch(name=made["name"], body=patch).execute(), {"name": made["name"], "displayName": "two"}
        )
        accounts.disable(name=made["name"], body={}).execute()
        self.assertIs(accounts.get(name=f"projects/-/serviceAccounts/{made['uniqueId']}").execute()["disabled"], True)
        policy = accounts.getIamPolicy(resource=made["name"]).execute()
        policy["bindings"] = [{"role": "roles/iam.workloadIdentityUser", "members": ["user:a@example.com"]}]
        accounts.setIamPolicy(resource=made["name"], body={"policy": policy}).execute()
        listed = accounts.list(name=f"projects/{PROJECT}").execute()
        self.assertIn(made["email"], [account["email"] for account in listed["accounts"]])
        accounts.delete(name=made["name"]).execute()


def storage_client():
    return storage.Client(PROJECT, credentials=AnonymousCredentials(), client_options={"api_endpoint": URL})


class Storage(unittest.TestCase):
    def test_objects_are_written_when_nobody_else_did(self):
        bucket = storage_client().create_bucket("py-state")
        blob = bucket.blob("env/production/lock.json")
        blob.upload_from_string('{"holder": "a"}', content_type="application/json", if_generation_match=0)
        first = blob.generation
        with self.assertRaises(exceptions.PreconditionFailed):
            bucket.blob(blob.name).upload_from_string("{}", if_generation_match=0)
        blob.upload_from_string('{"holder": "b"}', content_type="application/json", if_generation_match=first)
        self.assertGreater(blob.generation, first)
        read = bucket.get_blob(blob.name)
        self.assertEqual((read.download_as_text(), read.content_type), ('{"holder": "b"}', "application/json"))
        with self.assertRaises(exceptions.PreconditionFailed):
            read.delete(if_generation_match=first)
        bucket.blob("env/staging.json").upload_from_string("{}")
        listed = bucket.list_blobs(prefix="env/", delimiter="/")
        self.assertEqual([blob.name for blob in listed], ["env/staging.json"])
        self.assertEqual(listed.prefixes, {"env/production/"})
        self.assertEqual(len(list(bucket.list_blobs(page_size=1))), 2)
        read.delete()
        self.assertIsNone(bucket.get_blob(blob.name))

    def test_large_objects_come_in_pieces(self):
        bucket = storage_client().create_bucket("py-large")
        content = bytes(range(256)) * 4096
        blob = bucket.blob("large", chunk_size=256 * 1024)
        with blob.open("wb") as file:
            file.write(content)
        self.assertEqual(bucket.get_blob("large").download_as_bytes(), content)


class Monitoring(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        run = CloudRun()
        run.setUp()
        cls.name = run.create("py-measured").name
        cls.series = api("monitoring", "v3").projects().timeSeries()
        for _ in range(200):
            if cls.list(cls).get("timeSeries"):
                return
            time.sleep(0.1)
        raise AssertionError("no metrics arrive")

    def list(self, metric="request_count", **more):
        now = json.load(urllib.request.urlopen(f"{URL}/sandbox/clock"))["now"]
        now = datetime.datetime.fromisoformat(now.replace("Z", "+00:00"))
        text = lambda at: at.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:00Z")
        where = 'resource.type = "cloud_run_revision" AND resource.labels.service_name = "py-measured"'
        return self.series.list(
            name=f"projects/{PROJECT}",
            filter=f'metric.type = "run.googleapis.com/{metric}" AND {where}',
            interval_startTime=text(now - datetime.timedelta(hours=2)),
            interval_endTime=text(now),
            **more,
        ).execute()

    def test_series_are_aligned_and_reduced(self):
        raw = self.list()["timeSeries"]
        points = [point for one in raw for point in one["points"]]
        total = sum(int(point["value"]["int64Value"]) for point in points)
        self.assertEqual((raw[0]["metricKind"], raw[0]["valueType"]), ("DELTA", "INT64"))
        self.assertGreater(points[0]["interval"]["endTime"], points[-1]["interval"]["endTime"])
        wide = self.list(
            aggregation_alignmentPeriod="7200s",
            aggregation_perSeriesAligner="ALIGN_DELTA",
            aggregation_crossSeriesReducer="REDUCE_SUM",
            aggregation_groupByFields=["resource.label.service_name"],
        )["timeSeries"]
        self.assertEqual(len(wide), 1)
        self.assertEqual(wide[0]["resource"]["labels"], {"service_name": "py-measured"})
        self.assertGreaterEqual(int(wide[0]["points"][0]["value"]["int64Value"]), total)
        rate = self.list(aggregation_alignmentPeriod="60s", aggregation_perSeriesAligner="ALIGN_RATE")["timeSeries"]
        self.assertEqual((rate[0]["metricKind"], rate[0]["valueType"]), ("GAUGE", "DOUBLE"))
        latency = self.list(
            "request_latencies", aggregation_alignmentPeriod="7200s", aggregation_perSeriesAligner="ALIGN_PERCENTILE_50"
        )["timeSeries"]
        self.assertTrue(20 < latency[0]["points"][0]["value"]["doubleValue"] < 80)
        pages = self.list(pageSize=1)
        self.assertEqual(len(pages["timeSeries"]), 1)
        self.assertNotIn("points", self.list(view="HEADERS")["timeSeries"][0])

    def test_metrics_are_described(self):
        descriptors = api("monitoring", "v3").projects().metricDescriptors()
        name = f"projects/{PROJECT}/metricDescriptors/run.googleapis.com/request_count"
        self.assertEqual(descriptors.get(name=name).execute()["metadata"]["samplePeriod"], "60s")
        self.assertEqual(len(descriptors.list(name=f"projects/{PROJECT}").execute()["metricDescriptors"]), 2)

    def test_promql(self):
        prometheus = api("monitoring", "v1").projects().location().prometheus().api().v1()
        where = '{monitored_resource="cloud_run_revision",service_name="py-measured"}'
        query = f"sum by (service_name) (rate(run_googleapis_com:request_count{where}[30m]))"
        found = prometheus.query(name=f"projects/{PROJECT}", location="global", body={"query": query}).execute()
        self.assertEqual(found["data"]["result"][0]["metric"], {"service_name": "py-measured"})
        self.assertGreater(float(found["data"]["result"][0]["value"][1]), 1)
        now = json.load(urllib.request.urlopen(f"{URL}/sandbox/clock"))["now"]
        now = int(datetime.datetime.fromisoformat(now.replace("Z", "+00:00")).timestamp())
        errors = query.replace('"}', '",response_code_class!="2xx"}') + f" / {query} < bool 0.5"
        body = {"query": errors, "start": str(now - 600), "end": str(now), "step": "60s"}
        ranged = prometheus.query_range(name=f"projects/{PROJECT}", location="global", body=body).execute()
        self.assertEqual(ranged["data"]["resultType"], "matrix")
        quantile = f"histogram_quantile(0.5, sum by (le) (rate(run_googleapis_com:request_latencies_bucket{where}[30m])))"
        found = prometheus.query(name=f"projects/{PROJECT}", location="global", body={"query": quantile}).execute()
        self.assertTrue(20 < float(found["data"]["result"][0]["value"][1]) < 80)
        with self.assertRaises(HttpError) as refused:
            prometheus.query(name=f"projects/{PROJECT}", location="global", body={"query": "sum("}).execute()
        self.assertEqual(refused.exception.status_code, 400)


if __name__ == "__main__":
    unittest.main(verbosity=2)
