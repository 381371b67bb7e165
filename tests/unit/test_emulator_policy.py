import json

import pytest

from shotmedia.emulator.policy import PolicyError, parse_policy, refusal_reason


def policy(*statements, kind="session policy"):
    return parse_policy(json.dumps({"Version": "2012-10-17", "Statement": statements}), kind)


RUN = policy(
    {
        "Effect": "Allow",
        "Action": ["s3:PutObject", "s3:Get*"],
        "Resource": "arn:aws:s3:::media/p/.speedtest/*",
    },
    {
        "Effect": "Allow",
        "Action": "s3:ListBucket",
        "Resource": "arn:aws:s3:::media",
        "Condition": {"StringLike": {"s3:prefix": "p/*"}},
    },
)


def reason(action, resource, context=None, policies=(RUN,), bucket=None):
    return refusal_reason(policies, bucket, action, f"arn:aws:s3:::{resource}", context or {})


def test_prefix_and_action():
    assert reason("s3:PutObject", "media/p/.speedtest/runs/a") == ""
    assert reason("s3:GetObject", "media/p/.speedtest/seed") == ""
    assert "no session policy allows the s3:PutObject" in reason("s3:PutObject", "media/p/x.mov")
    assert reason("s3:DeleteObject", "media/p/.speedtest/runs/a")
    assert reason("s3:PutObject", "other/p/.speedtest/a")


def test_condition_on_the_listed_prefix():
    assert reason("s3:ListBucket", "media", {"s3:prefix": "p/a"}) == ""
    assert reason("s3:ListBucket", "media", {"s3:prefix": "q/"})
    assert reason("s3:ListBucket", "media")


def test_every_policy_has_to_allow():
    role = policy({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}, kind="role")
    key = "media/p/.speedtest/a"
    assert reason("s3:GetObject", key, policies=(role, RUN)) == ""
    assert "no role allows" in reason("s3:PutObject", key, policies=(role, RUN))
    assert reason("s3:PutObject", "anything", policies=()) == ""


def test_deny_wins_and_names_its_layer():
    bucket = policy(
        {
            "Effect": "Deny",
            "Action": "s3:GetObject*",
            "Resource": "arn:aws:s3:::media/p/*",
            "Condition": {"NotIpAddress": {"aws:SourceIp": ["10.0.0.0/8"]}},
        },
        kind="resource-based policy",
    )
    key = "media/p/.speedtest/a"
    inside, outside = {"aws:sourceip": "10.1.1.1"}, {"aws:sourceip": "192.0.2.1"}
    assert reason("s3:GetObject", key, inside, bucket=bucket) == ""
    assert "explicit deny in a resource-based policy" in reason(
        "s3:GetObject", key, outside, bucket=bucket
    )
    assert reason("s3:PutObject", key, outside, bucket=bucket) == ""


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"Statement": [{"Effect": "Perhaps", "Action": "*", "Resource": "*"}]}',
        '{"Statement": [{"Effect": "Allow", "Resource": "*"}]}',
        '{"Statement": [{"Effect": "Allow", "Action": "*"}]}',
        '{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*",'
        ' "Condition": {"DateLessThan": {"aws:CurrentTime": "x"}}}}',
        '{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*",'
        ' "Condition": {"StringEquals": {"aws:userid": "x"}}}}',
    ],
)
def test_what_is_not_understood_is_refused(text):
    with pytest.raises(PolicyError):
        parse_policy(text, "session policy")
