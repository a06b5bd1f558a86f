// Calls a method of OpenAI's own library as a program would: node client.mjs '{"url": …, "file": …, "call": …, …}'.
// Prints one JSON object: `answer`, or `events` of a stream, or `error`; and the id of the job.
import { createRequire } from 'node:module'
import fs from 'node:fs'

const { OpenAI } = createRequire(process.env.MODULES)('openai')
const order = JSON.parse(process.argv[2])
const client = new OpenAI({ baseURL: `${order.url}/v1`, apiKey: 'any', ...order.options })
// The file comes first, as programs usually write it.
const file = order.asBlob ? new File([await fs.openAsBlob(order.file)], 'clip.wav') : order.file && fs.createReadStream(order.file)
const parameters = { file, model: 'whisper-1', ...order.parameters }

async function call () {
  if (order.call === 'models') return { answer: (await client.models.list()).data.map((model) => model.id) }
  const { data, response } = await client.audio[order.call].create(parameters).withResponse()
  const job = response.headers.get('headrace-job-id')
  if (!order.parameters?.stream) return { job, answer: data, type: response.headers.get('content-type') }
  const events = []
  for await (const event of data) events.push(event)
  return { job, events }
}

async function run () {
  try {
    return await call()
  } catch (error) {
    const { status, code, type, param, message } = error
    return { error: { name: error.constructor.name, status, code, type, param, message } }
  }
}

process.stdout.write(JSON.stringify(await run()))
