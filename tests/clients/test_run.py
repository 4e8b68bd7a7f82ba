"""Cloud Run."""

import unittest

from google.api_core import exceptions
from google.cloud import run_v2
from google.iam.v1 import iam_policy_pb2, policy_pb2

from support import PARENT, PROJECT, api, client, create_service, mask, service

LATEST = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST
REVISION = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION


class CloudRun(unittest.TestCase):
    def setUp(self):
        self.services, self.revisions = client(run_v2.ServicesClient), client(run_v2.RevisionsClient)

    def create(self, name, **fields):
        return create_service(self.services, name, **fields)

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
                parent=PARENT, service=service(), service_id="py-checked", validate_only=True
            )
        )
        self.assertTrue(checked.done())
        with self.assertRaises(exceptions.NotFound):
            self.services.get_service(name=f"{PARENT}/services/py-checked")
        wanted = service()
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
        broken = service()
        broken.template.containers[0].env.append(run_v2.EnvVar(name="SANDBOX_STARTUP", value="fail"))
        with self.assertRaises(exceptions.GoogleAPICallError) as failed:
            self.services.create_service(parent=PARENT, service=broken, service_id="py-broken").result(timeout=60)
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
