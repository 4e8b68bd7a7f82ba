"""VPC Access and IAM."""

import unittest

from google.cloud import vpcaccess_v1
from googleapiclient.errors import HttpError

from support import PARENT, PROJECT, api, client, done


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
