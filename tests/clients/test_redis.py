"""Memorystore for Redis."""

import unittest

from google.api_core import exceptions
from google.cloud import redis_v1

from support import PARENT, PROJECT, api, client, done, mask, storage_client


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
