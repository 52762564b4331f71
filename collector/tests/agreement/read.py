"""Reads a page a line, each a JSON string, with the parser of Prometheus' Python client, and answers with a line."""

import json
import sys

if sys.argv[1] == "openmetrics":
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
else:
    from prometheus_client.parser import text_string_to_metric_families as parse


def number(value):
    return None if value is None else repr(float(value))


def shown(sample):
    exemplar = sample.exemplar and {
        "labels": sample.exemplar.labels,
        "value": number(sample.exemplar.value),
        "timestamp": number(sample.exemplar.timestamp),
    }
    return {
        "name": sample.name,
        "labels": sample.labels,
        "value": number(sample.value),
        "timestamp": number(sample.timestamp),
        "exemplar": exemplar,
    }


for line in sys.stdin:
    try:
        families = list(parse(json.loads(line)))
        answer = {"samples": [shown(sample) for family in families for sample in family.samples]}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer))
