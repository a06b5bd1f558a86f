"""The proxy before the ingests: each lives or does not, and connections go in turn to those that do."""

from tests.fleet.proxy import MISSES, Proxy, Server


def servers(*, up: int = 3) -> list[Server]:
    found = [Server((f"10.77.0.{number}", 8000)) for number in range(3)]
    for server in found[:up]:
        server.heard(lives=True)
    return found


def test_a_server_is_up_once_it_has_answered_and_down_after_some_silence() -> None:
    (server, *_) = servers(up=0)
    assert not server.is_up
    server.heard(lives=True)
    for _ in range(MISSES - 1):
        server.heard(lives=False)
        assert server.is_up
    server.heard(lives=False)
    assert not server.is_up


def test_connections_go_to_the_servers_in_turn_and_to_the_next_one_when_one_cannot_be_reached() -> None:
    three = servers()
    proxy = Proxy(three)
    orders = [proxy._in_turn() for _ in range(3)]
    assert {order[0].address for order in orders} == {server.address for server in three}
    assert all(len(set(map(id, order))) == 3 for order in orders)


def test_who_is_down_gets_nothing() -> None:
    proxy = Proxy(servers(up=1))
    assert [len(proxy._in_turn()) for _ in range(4)] == [1, 1, 1, 1]
    assert Proxy(servers(up=0))._in_turn() == []
