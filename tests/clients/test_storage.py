"""Cloud Storage."""

import unittest

from google.api_core import exceptions

from support import storage_client


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
