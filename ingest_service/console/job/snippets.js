/** The requests that make the same job again, as curl and as Python. The key is a variable, never its value. */

/**
 * Return `{curl, python}`.
 * @param {{origin: string, filename: string | null, format: string | null, options: object, metadata: unknown,
 *   needsKey: boolean, hasWebhook: boolean}} job
 */
export function snippetsOf(job) {
  const fields = fieldsOf(job);
  const file = baseName(job.filename) || `audio.${extensionOf(job.format)}`;
  return { curl: curlOf(job, file, fields), python: pythonOf(job, file, fields) };
}

/** Return the last part of a name, so that no snippet reads another folder's file; never an option or stdin. */
function baseName(filename) {
  const name = (filename ?? "").split(/[\\/]/).pop();
  return name.startsWith("-") ? `./${name}` : name;
}

function extensionOf(format) {
  return /^[a-z0-9]{1,8}$/.test(format ?? "") ? format : "wav";
}

function fieldsOf({ options, metadata, hasWebhook }) {
  const fields = Object.entries(options ?? {}).map(([name, value]) => [name, asField(value)]);
  if (metadata !== null && metadata !== undefined) fields.push(["metadata", JSON.stringify(metadata)]);
  if (hasWebhook) fields.push(["webhook_url", WEBHOOK]);
  return fields;
}

const WEBHOOK = Symbol("the variable WEBHOOK_URL"); // the URL may hold a secret; the service does not show it

function asField(value) {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function curlOf({ origin, needsKey }, file, fields) {
  const parts = [`curl ${shellQuote(`${origin}/v1/jobs`)}`];
  if (needsKey) parts.push(`-H "Authorization: Bearer $HEADRACE_KEY"`);
  parts.push(`-F ${shellQuote(`audio_file=@"${curlQuote(file)}"`)}`);
  for (const [name, value] of fields) {
    parts.push(value === WEBHOOK ? `--form-string ${name}="$WEBHOOK_URL"` : `--form-string ${shellQuote(`${name}=${value}`)}`);
  }
  return parts.join(" \\\n  ");
}

/** Return a text as one word of a shell. Characters that are not shown are escaped, so that nothing is hidden. */
export function shellQuote(text) {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text;
  if (![...text].some(isHidden)) return `'${text.replaceAll("'", `'\\''`)}'`;
  return `$'${[...text].map((one) => (isHidden(one) ? unicode(one) : one.replace(/['\\]/g, "\\$&"))).join("")}'`;
}

/** Return a file name for between the quotes of curl's `-F name=@"…"`. */
function curlQuote(name) {
  return name.replace(/["\\]/g, "\\$&");
}

function pythonOf({ origin, needsKey }, file, fields) {
  const lines = ["import os", "", "import httpx", ""];
  lines.push(`with open(${pythonQuote(file)}, "rb") as audio:`);
  lines.push("    answer = httpx.post(", `        ${pythonQuote(`${origin}/v1/jobs`)},`);
  if (needsKey) lines.push(`        headers={"Authorization": f"Bearer {os.environ['HEADRACE_KEY']}"},`);
  lines.push(`        files={"audio_file": audio},`);
  if (fields.length) {
    const entries = fields.map(([name, value]) => `            ${pythonQuote(name)}: ${pythonValue(value)},`);
    lines.push("        data={", ...entries, "        },");
  }
  lines.push("    )", "answer.raise_for_status()", `print(answer.json()["job_id"])`);
  const usesVariables = lines.some((line) => line.includes("os.environ"));
  return (usesVariables ? lines : lines.slice(2)).join("\n");
}

function pythonValue(value) {
  return value === WEBHOOK ? `os.environ["WEBHOOK_URL"]` : pythonQuote(value);
}

/** Return a text as a Python string: JSON's escapes are also Python's. */
export function pythonQuote(text) {
  return `"${[...text].map((one) => (isHidden(one) ? unicode(one) : JSON.stringify(one).slice(1, -1))).join("")}"`;
}

/** Return whether a character is a control, has no width, or changes the direction of others. */
function isHidden(character) {
  return /^[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]$/u.test(character);
}

function unicode(character) {
  const code = character.codePointAt(0);
  return code > 0xffff ? `\\U${code.toString(16).padStart(8, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
}
