"""Secret Manager."""

import datetime
import unittest

from google.api_core import exceptions
from google.cloud import secretmanager_v1
from google.iam.v1 import iam_policy_pb2, policy_pb2
from google.protobuf import duration_pb2, timestamp_pb2

from support import PROJECT, client, mask


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
