"""The proxy: health checks mark servers up or down; connections go round-robin to those that are up."""

from tests.tools.fleet.proxy import MISSES, Proxy, Server


def servers(*, up: int = 3) -> list[Server]:
    found = [Server((f"10.77.0.{number}", 8000)) for number in range(3)]
    for server in found[:up]:
        server.note_check(passed=True)
    return found


def test_a_server_is_up_after_one_answer_and_down_after_several_failed_checks() -> None:
    (server, *_) = servers(up=0)
    assert not server.is_up
    server.note_check(passed=True)
    for _ in range(MISSES - 1):
        server.note_check(passed=False)
        assert server.is_up
    server.note_check(passed=False)
    assert not server.is_up


def test_connections_go_round_robin_with_the_other_servers_as_fallback() -> None:
    three = servers()
    proxy = Proxy(three)
    orders = [proxy._in_turn() for _ in range(3)]
    assert {order[0].address for order in orders} == {server.address for server in three}
    assert all(len(set(map(id, order))) == 3 for order in orders)


def test_a_server_that_is_down_gets_no_connections() -> None:
    proxy = Proxy(servers(up=1))
    assert [len(proxy._in_turn()) for _ in range(4)] == [1, 1, 1, 1]
    assert Proxy(servers(up=0))._in_turn() == []
