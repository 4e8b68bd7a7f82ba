"""Cloud Monitoring."""

import datetime
import json
import time
import unittest
import urllib.request

from google.cloud import run_v2
from googleapiclient.errors import HttpError

from support import PROJECT, URL, api, client, create_service


class Monitoring(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.name = create_service(client(run_v2.ServicesClient), "py-measured").name
        cls.series = api("monitoring", "v3").projects().timeSeries()
        for _ in range(200):
            if any(len(one["points"]) > 2 for one in cls.list(cls).get("timeSeries", [])):
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
        described = descriptors.list(name=f"projects/{PROJECT}").execute()["metricDescriptors"]
        types = {one["type"].removeprefix("run.googleapis.com/") for one in described}
        self.assertTrue({"request_count", "request_latencies", "container/cpu/utilizations"} <= types)
        only = descriptors.list(name=f"projects/{PROJECT}", filter='metric.type = starts_with("run.googleapis.com/request_")')
        self.assertEqual(len(only.execute()["metricDescriptors"]), 2)

    def test_promql(self):
        prometheus = api("monitoring", "v1").projects().location().prometheus().api().v1()
        where = '{monitored_resource="cloud_run_revision",service_name="py-measured"}'
        query = f"sum by (service_name) (rate(run_googleapis_com:request_count{where}[30m]))"
        found = prometheus.query(name=f"projects/{PROJECT}", location="global", body={"query": query}).execute()
        self.assertEqual(found["data"]["result"][0]["metric"], {"service_name": "py-measured"})
        self.assertGreater(float(found["data"]["result"][0]["value"][1]), 1)
        now = json.load(urllib.request.urlopen(f"{URL}/sandbox/clock"))["now"]
        now = int(datetime.datetime.fromisoformat(now.replace("Z", "+00:00")).timestamp())
        good = query.replace('"}', '",response_code_class="2xx"}') + f" / {query} > bool 0.5"
        body = {"query": good, "start": str(now - 600), "end": str(now), "step": "60s"}
        ranged = prometheus.query_range(name=f"projects/{PROJECT}", location="global", body=body).execute()
        self.assertEqual(ranged["data"]["resultType"], "matrix")
        self.assertEqual(ranged["data"]["result"][0]["values"][-1][1], "1")
        quantile = f"histogram_quantile(0.5, sum by (le) (rate(run_googleapis_com:request_latencies_bucket{where}[30m])))"
        found = prometheus.query(name=f"projects/{PROJECT}", location="global", body={"query": quantile}).execute()
        self.assertTrue(20 < float(found["data"]["result"][0]["value"][1]) < 80)
        with self.assertRaises(HttpError) as refused:
            prometheus.query(name=f"projects/{PROJECT}", location="global", body={"query": "sum("}).execute()
