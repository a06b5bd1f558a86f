// Uploads a file with tus-js-client as a program would: node upload.js '{"endpoint": …, "file": …, …}'.
// Prints one JSON object: the upload's URL, the job's id, how many requests failed, and the error, if it gave up.
const fs = require('fs')
const path = require('path')
const { createRequire } = require('module')
const { PassThrough } = require('stream')
const tus = createRequire(path.join(process.env.MODULES, 'x.js'))('tus-js-client')

const order = JSON.parse(process.argv[2])
const seen = { url: null, job: null, failures: 0, error: null }

const options = {
  endpoint: order.endpoint,
  uploadUrl: order.uploadUrl || null,
  metadata: order.metadata || {},
  retryDelays: [0, 50, 100, 200, 400, 800, 1600],
  storeFingerprintForResuming: false,
  ...order.options,
  onAfterResponse: (_, answer) => { seen.job = answer.getHeader('Headrace-Job-Id') || seen.job },
  onShouldRetry: (error, _, own) => {
    seen.failures += 1
    const answer = error.originalResponse
    return !answer || answer.getStatus() >= 500 || [409, 423].includes(answer.getStatus())
  },
  onChunkComplete: (_, accepted) => { if (order.stopAt && accepted >= order.stopAt) upload.abort().then(end) },
  onSuccess: end,
  onError: (error) => { seen.error = String(error); end() },
}

function end() {
  seen.url = upload.url
  process.stdout.write(JSON.stringify(seen), () => process.exit(0))
}

// Of a file with a deferred length 4.3.1 announces too many bytes for the last chunk; of a stream it does not.
const file = fs.createReadStream(order.file)
const source = options.uploadLengthDeferred ? file.pipe(new PassThrough()) : file
const upload = new tus.Upload(source, options)
upload.start()
