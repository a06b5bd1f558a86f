"""The scenarios of `make fleet` in order. The first two start the processors that the others use.

After the last one, the host of the first PostgreSQL is lost.
"""

from tests.tools.fleet.cuts import cut_bucket, cut_postgres, cut_redis
from tests.tools.fleet.demo import demo
from tests.tools.fleet.dying_ingest import dying_ingest
from tests.tools.fleet.failover import failover
from tests.tools.fleet.long_file import long_file
from tests.tools.fleet.slow_link import slow_link
from tests.tools.fleet.trial import Scenario

SCENARIOS: dict[str, Scenario] = {
    "demo": demo,
    "long_file": long_file,
    "cut_redis": cut_redis,
    "cut_postgres": cut_postgres,
    "cut_bucket": cut_bucket,
    "dying_ingest": dying_ingest,
    "slow_link": slow_link,
    "failover": failover,
}
