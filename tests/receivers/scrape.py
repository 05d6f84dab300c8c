"""Scrapes metrics and reads them with Prometheus' own parsers for Python, the one for OpenMetrics being strict.

scrape.py URL FORM, with FORM `openmetrics` or `text`; prints one JSON object a sample.
"""

import json
import sys
import urllib.request

from prometheus_client import parser
from prometheus_client.openmetrics import parser as strict

url, form = sys.argv[1:]
accept = {"openmetrics": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "text": "text/plain"}[form]
wanted = {
    "openmetrics": "application/openmetrics-text; version=1.0.0; charset=utf-8",
    "text": "text/plain; version=0.0.4; charset=utf-8",
}[form]
with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept}), timeout=30) as answer:
    body = answer.read().decode()
    kind = answer.headers["Content-Type"]
assert kind == wanted, kind
families = (strict if form == "openmetrics" else parser).text_string_to_metric_families(body)
for family in families:
    assert family.documentation, family.name
    for sample in family.samples:
        print(json.dumps({"name": sample.name, "type": family.type, "labels": sample.labels, "value": sample.value}))
