"""A first deployment that fails and is repeated; then what companies ask for, each with the stack that it is for."""

import json

from cloud import Cloud, Stack, wait_for_equal
from counters import wait_for_counters
from template import KEY

BOUNDARY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
ASSUMED_BY = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}


class Company:
    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.stack: Stack = cloud.stack("unset")
        self.own_role = ""

    def a_first_deployment_that_fails_takes_its_tables_back(self) -> None:
        before = self.cloud.tables()
        failing = self._stack()
        failing.create_and_roll_back()
        deleted = failing.deleted()
        assert {"SourceTable", "ViewTable", "IdempotencyTable"} <= deleted, deleted
        assert self.cloud.tables() == before
        failing.delete()

    def the_same_stack_is_created_once_the_cause_is_mended(self) -> None:
        boundary = self.cloud.iam.create_policy(PolicyName="boundary", PolicyDocument=json.dumps(BOUNDARY))
        arn = boundary["Policy"]["Arn"]
        # The emulator takes the boundary and forgets it.
        self.stack = self._stack(
            PermissionsBoundaryArn=arn, TableKmsKeyArns=KEY, IdempotencyTableRecovery="false"
        ).create()
        (use,) = (one for one in self.stack.role().policy()[1]["Statement"] if one["Sid"] == "UseKey")
        assert use["Resource"] in (KEY, [KEY])
        self.stack.source.put(MapId="m", PointId="1", Category="Park")
        wait_for_counters(self.stack, {"m": (1, {"Park": 1})})

    def tables_are_protected_by_an_update(self) -> None:
        self.stack.update(DeletionProtection="true")
        for table in (self.stack.source, self.stack.view, self.stack.markers):
            assert table.describe()["DeletionProtectionEnabled"] is True

    def a_role_of_ones_own_takes_the_place_of_the_stacks(self) -> None:
        name, policy = self.stack.role().policy()
        trust = json.dumps({"Version": "2012-10-17", "Statement": [ASSUMED_BY]})
        own = self.cloud.iam.create_role(RoleName="rollup-of-our-own", AssumeRolePolicyDocument=trust)["Role"]
        self.cloud.iam.put_role_policy(RoleName=own["RoleName"], PolicyName=name, PolicyDocument=json.dumps(policy))
        # The emulator has no networks: it takes the function's and forgets them.
        self.stack.update(FunctionRoleArn=own["Arn"], SubnetIds="subnet-0a,subnet-0b", SecurityGroupIds="sg-0c")
        assert self.stack.function()["Role"] == own["Arn"]
        assert "FunctionRole" not in self.stack.resources()
        self.stack.source.put(MapId="m", PointId="2", Category="Park")
        wait_for_counters(self.stack, {"m": (2, {"Park": 2})})

    def a_pause_is_an_update_and_what_is_written_meanwhile_is_counted_after_it(self) -> None:
        self.stack.update(MappingEnabled="false")
        assert "the state" in self.stack.wrong("--function", self.stack.outputs["FunctionName"])
        self.stack.source.put(MapId="m", PointId="3", Category="Park")
        self.stack.update(MappingEnabled="true")
        wait_for_equal("the function goes on", lambda: (self.stack.view.get(MapId="m") or {})["TotalPoints"], 3)

    def _stack(self, **parameters: str) -> Stack:
        names = {"SourceTableName": "OurPoint", "ViewTableName": "OurMap", "IdempotencyTableName": "OurSeen"}
        return self.cloud.stack("company", **names | parameters)
