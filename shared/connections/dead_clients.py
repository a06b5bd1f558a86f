"""What Postgres is told as a session begins: to notice within about ten seconds that the machine at its end is gone.

A machine that loses its power or its link ends no connection. Left to itself the kernel keeps such a one for two hours,
with all that its transaction has locked, so that nobody can rescue the tasks it was writing to. Lines of TCP only.
"""

SILENCE_S = 5  # then the kernel asks
ASK_EVERY_S, QUESTIONS = 2, 3
UNACKNOWLEDGED_MS = 10_000  # the longest that something sent may go without an answer from the other kernel

NOTICE_DEAD_CLIENTS = f"""
    SET tcp_keepalives_idle = {SILENCE_S}; SET tcp_keepalives_interval = {ASK_EVERY_S};
    SET tcp_keepalives_count = {QUESTIONS}; SET tcp_user_timeout = {UNACKNOWLEDGED_MS}
"""
