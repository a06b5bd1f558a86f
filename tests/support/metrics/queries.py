"""The queries of the dashboard and of the alert rules, and the series that they select."""

import msgspec
import promql_parser

from tests.support.stack.launched import ROOT

DASHBOARD = ROOT / "deploy/grafana/headrace.json"
PROMETHEUS = ROOT / "deploy/prometheus"
RULES, RULES_TEST = PROMETHEUS / "rules.yaml", PROMETHEUS / "rules.test.yaml"
Selected = tuple[str, frozenset[tuple[str, str]]]  # a metric name, and labels with their required values
INTERVAL = "5m"  # replaces Grafana's $__rate_interval


class Target(msgspec.Struct, frozen=True):
    expr: str


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    type: str
    title: str
    gridPos: dict[str, int]  # noqa: N815 - Grafana's name
    targets: tuple[Target, ...] = ()
    description: str = ""


class Dashboard(msgspec.Struct, frozen=True, kw_only=True):
    uid: str
    title: str
    schemaVersion: int  # noqa: N815 - Grafana's name
    panels: tuple[Panel, ...]

    @property
    def queries(self) -> list[str]:
        targets = [target for panel in self.panels for target in panel.targets]
        return [target.expr.replace("$__rate_interval", INTERVAL) for target in targets]


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    alert: str
    expr: str
    for_: str = msgspec.field(name="for", default="0s")
    labels: dict[str, str]
    annotations: dict[str, str]


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    rules: tuple[Rule, ...]


class RuleFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    groups: tuple[Group, ...]


def dashboard() -> Dashboard:
    return msgspec.json.decode(DASHBOARD.read_bytes(), type=Dashboard)


def rules() -> list[Rule]:
    file = msgspec.yaml.decode(RULES.read_bytes(), type=RuleFile)
    return [rule for group in file.groups for rule in group.rules]


def series_of(query: str) -> set[Selected]:
    """Return the series that a query selects. Raise ValueError for an invalid query."""
    found = set()

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.MatrixSelector):
            node = node.vector_selector
        if isinstance(node, promql_parser.VectorSelector):
            equal = [one for one in node.matchers.matchers if one.op == promql_parser.MatchOp.Equal]
            found.add((node.name or "", frozenset((one.name, one.value) for one in equal)))

    promql_parser.walk(promql_parser.parse(query), visit)
    return found
