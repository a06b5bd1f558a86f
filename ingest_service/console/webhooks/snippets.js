/** Code that verifies a webhook, in the languages of the page webhooks. Tests run it; the Python is that of the README. */

const PYTHON = String.raw`from standardwebhooks import Webhook


def receive(body: str, headers: dict[str, str]) -> tuple[str, str]:
    event = Webhook("whsec_…").verify(body, headers)  # raises WebhookVerificationError if the signature is wrong
    return event["type"], event["data"]["job_id"]  # job.completed, job.failed or job.cancelled
`;

const NODE = String.raw`import { createHmac, timingSafeEqual } from "node:crypto";

const key = Buffer.from("whsec_…".slice(6), "base64");

export function receive(body, headers) {
  const [id, sentAt, signatures] = ["id", "timestamp", "signature"].map((name) => headers["webhook-" + name]);
  if (!(Math.abs(Date.now() / 1000 - sentAt) < 300)) throw new Error("the event is too old");
  const expected = createHmac("sha256", key).update([id, sentAt, body].join(".")).digest();
  const isSigned = signatures.split(" ").some((one) => {
    const given = Buffer.from(one.replace(/^v1,/, ""), "base64");
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
  if (!isSigned) throw new Error("the signature is wrong");
  return JSON.parse(body);
}
`;

const SHELL = String.raw`# The headers of the event; its body, as it came, is in body.json.
id=evt_…
timestamp=…
signature='v1,…'
secret=whsec_…

key=$(printf %s "$secret" | cut -c 7- | base64 -d | od -An -v -tx1 | tr -d ' \n')
expected=$({ printf '%s.%s.' "$id" "$timestamp"; cat body.json; } |
  openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | base64)
case " $signature " in
  *" v1,$expected "*) echo verified ;;
  *) echo "wrong signature" >&2; exit 1 ;;
esac
`;

/** By the names of `strings.webhooks.verify.languages`. */
export const SNIPPETS = { python: PYTHON, node: NODE, shell: SHELL };

/** Return the command that does what the page's test does. */
export const testCommand = (origin, url, needsKey) => [
  "curl -X POST",
  ...(needsKey ? ['-H "Authorization: Bearer hr_…"'] : []),
  '-H "Content-Type: application/json"',
  `-d ${quoted(JSON.stringify({ url }))}`,
  `${origin}/v1/webhooks/test`,
].join(" ");

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
