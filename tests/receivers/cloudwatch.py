"""CloudWatch Logs as moto plays it: python3 cloudwatch.py serve PORT FILE, or events PORT GROUP STREAM for the texts, a line of JSON each.

moto forgets all when it ends; FILE keeps what it accepted, a line of JSON for each event.
"""
import json, sys

if sys.argv[1] == "serve":
    from moto.logs.models import LogGroup
    from moto.server import main

    accept = LogGroup.put_log_events

    def keep(self, log_stream_name, log_events):
        token = accept(self, log_stream_name, log_events)
        with open(sys.argv[3], "a") as file:
            file.write("".join(json.dumps(event) + "\n" for event in log_events))
        return token

    LogGroup.put_log_events = keep
    main(["-H", "0.0.0.0", "-p", sys.argv[2]])
else:
    import boto3, botocore

    port, group, stream = sys.argv[2:]
    logs = boto3.client("logs", "eu-west-1", endpoint_url=f"http://127.0.0.1:{port}",
                        aws_access_key_id="id", aws_secret_access_key="key")
    token = {}
    while True:
        try:
            page = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True, **token)
        except botocore.exceptions.ClientError as error:
            sys.exit(str(error))
        for event in page["events"]:
            print(json.dumps([event["timestamp"], event["message"]]))
        if token.get("nextToken") == page["nextForwardToken"]:
            break
        token = {"nextToken": page["nextForwardToken"]}
