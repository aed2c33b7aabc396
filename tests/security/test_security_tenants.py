"""No operation shows or changes what another tenant has."""

from faces.contracts.keys import NewKey, Scope
from tests.security.tenants import COLLECTION, World, ask, protected
from tests.unit.chalice_app.gateway import call


def test_every_operation_with_a_body_is_tried(world: World) -> None:
    untried = [
        each.name
        for each in protected()
        if each.body is not None and world.victim.body(each) is None
    ]
    assert untried == [], "say in tests/security/tenants.py what to send"


def test_a_key_of_another_tenant_opens_nothing(world: World) -> None:
    """The attacker has all scopes, and knows every id of the victim's."""
    victim, attacker = world.victim, world.attacker
    before = world.holdings()
    call("DELETE", f"/v1/collections/{COLLECTION}", key=attacker.key)  # not to be in the way
    for operation in protected():
        answer = ask(operation, victim, attacker.key)
        assert answer.status < 500, (operation.name, answer.body)
        assert victim.secret not in answer.body, operation.name
        # A collection's name is no id: the attacker may have one of the same name.
        if set(operation.path_values) - {"collection"}:
            assert answer.status in (403, 404), (operation.name, answer.status, answer.body)
        for name, identifier in victim.ids.items():
            if name not in operation.path_values and name != "collection":
                sent = str(victim.body(operation))
                assert identifier not in answer.body or identifier in sent, operation.name
    # What is asked for in a job is looked up by the worker in the job's own tenant.
    for message in world.context.queues.sent:
        assert victim.ids["job_id"] not in message[1] or "worker_gave_up" in message[1]
    assert world.holdings() == before


def test_nothing_is_done_without_a_key(world: World) -> None:
    before = world.holdings()
    for operation in protected():
        for key in (None, "", "wrong", "' OR 1=1 --", "x" * 10_000):
            answer = ask(operation, world.victim, key)
            assert (answer.status, answer.json["code"]) == (401, "unauthenticated"), operation.name
    assert world.holdings() == before


def test_a_revoked_key_and_one_of_the_wrong_scope_do_nothing(world: World) -> None:
    keys, victim = world.context.keys, world.victim
    made = {
        scope: keys.create("victim", NewKey(name="n", scopes=(scope,)), actor="root")
        for scope in Scope
    }
    before = world.holdings()
    for operation in protected():
        assert operation.scopes is not None
        for scope, key in made.items():
            if scope is Scope.ADMIN or scope in operation.scopes:
                continue
            answer = ask(operation, victim, key.key)
            assert (answer.status, answer.json["code"]) == (403, "forbidden"), operation.name
    for key in made.values():
        keys.revoke("victim", key.key_id, actor="root")
    after = world.holdings()
    for operation in protected():
        answer = ask(operation, victim, made[Scope.ADMIN].key)
        assert answer.status == 401, operation.name
    assert world.holdings() == after
    assert before != after, "keys were revoked meanwhile"


def test_only_the_stacks_own_key_makes_keys_of_other_tenants(world: World) -> None:
    body = {"name": "n", "scopes": ["admin"], "tenant": "victim"}
    assert call("POST", "/v1/keys", body, key=world.attacker.key).status == 403
