/** All text of the console, in English, by page. Text with values is a function. */

export const strings = {
  app: {
    name: "Headrace",
    skip: "Skip to content",
    navigation: "Pages",
    menu: "Menu",
    theme: "Theme",
    themes: { auto: "System", light: "Light", dark: "Dark" },
    signOut: "Sign out",
    apiReference: "API reference",
    licences: "Licences",
    tenant: "Tenant",
    role: (scopes, operates) => [...scopes, ...(operates ? ["operate"] : [])].join(", "),
    noKeys: "no keys needed",
    readOnly: "read-only",
    loading: "Loading…",
  },
  errors: {
    offline: "The service does not answer",
    offlineDetail: "Check that it runs and that this computer is connected. The page tries again by itself where it can.",
    unexpected: (status) => `The service answered with status ${status}`,
    retry: "Try again",
    pageFailed: "This page could not be loaded",
    code: (code) => `Code: ${code}`,
  },
  format: {
    justNow: "just now",
    ago: (span) => `${span} ago`,
  },
  status: { QUEUED: "Queued", PROCESSING: "Running", COMPLETED: "Completed", FAILED: "Failed", CANCELLED: "Cancelled" },
  stage: { prepare: "preparing", transcribe: "transcribing", finish: "finishing" },
  dialog: { cancel: "Cancel", close: "Close" },
  copy: { copy: "Copy", copied: "Copied" },

  home: {
    title: "Home",
    dropTitle: "Drop audio or video here",
    dropHint: (size) => `Files or folders, up to ${size} each. Uploads continue after an interruption.`,
    dropHintShort: "Files or folders. Uploads continue after an interruption.",
    chooseFiles: "Choose files",
    chooseFolder: "Folder",
    fromUrl: "URL",
    record: "Record",
    readOnly: "You can look, but not upload",
    readOnlyDetail: "Your key does not have the scope “submit”. The operator of the service makes keys with other scopes.",
    skipped: (count) => `${count} ${count === 1 ? "file" : "files"} of the folder left out: no audio or video.`,
    refused: (name, reason, count) => `${name}: ${reason}${count > 1 ? ` (and ${count - 1} more)` : ""}`,
    emptyFile: "the file is empty",
    tooLarge: (size) => `larger than ${size}, the most that the service takes`,

    uploads: "Uploads",
    uploading: (name) => `Upload of ${name}`,
    states: {
      waiting: "waiting",
      uploading: "starting",
      retrying: "connection lost, trying again",
      paused: "paused",
      interrupted: "interrupted",
      failed: "refused",
      done: (size) => `${size} · uploaded`,
    },
    rate: (bytes) => `${bytes}/s`,
    left: (span) => `${span} left`,
    pause: (name) => `Pause ${name}`,
    resume: (name) => `Resume ${name}`,
    retry: (name) => `Try ${name} again`,
    cancel: (name) => `Cancel the upload of ${name}`,
    remove: (name) => `Remove ${name} from this list`,
    removeDone: "Clear finished",
    interrupted: "The connection was lost",
    interruptedDetail: "The connection was lost. Nothing that has arrived is lost: try again to continue.",

    urlLabel: "URL of an audio or video file",
    urlHelp: "The service fetches it itself, from public addresses only.",
    urlSubmit: "Transcribe",
    urlAccepted: "Accepted. The service fetches the audio now.",

    recordStop: "Stop and upload",
    recordDiscard: "Discard",
    recordingName: "Recording",
    noMicrophone: "No recording",
    microphoneDenied: "The browser does not let this page use the microphone. Allow it in the site's settings.",
    microphoneMissing: "There is no microphone.",
    microphoneInsecure: "Browsers record only on pages of loopback addresses or https.",

    running: "Now",
    allJobs: "All jobs",
    noJobs: "No jobs yet",
    noJobsText: "What you upload appears here while it is transcribed.",
    unnamed: "without a name",
    progress: (name) => `Progress of ${name}`,
    wait: (span) => `starts in about ${span}`,
    audio: (span) => `${span} of audio`,
  },

  options: {
    title: "Options of the next jobs",
    names: { language: "Language", num_speakers: "Number of speakers", model: "Model" },
    anyLanguage: "Detect language",
    anySpeakers: "Any number of speakers",
    anyModel: "Default model",
    speakers: (count) => `${count} ${count === 1 ? "speaker" : "speakers"}`,
    diarize: "Name speakers",
    denoise: "Denoise",
    translate: "Translate to English",
    more: "More options",
    separate: "One speaker a channel",
    fromDenoised: "Transcribe the denoised audio",
    words: "Word times",
    prompt: "Names and words to expect",
    promptHelp: "The model sees them before every window, such as “Ngũgĩ, Kubernetes, SoundCloud”.",
    webhook: "Webhook URL",
    webhookHelp: "Where the service reports the end of each job.",
    reset: "Reset all options",
  },

  jobs: {
    title: "Jobs",
  },

  job: {
    title: "Job",
  },

  queue: {
    title: "Queue and health",
    nav: "Queue",
  },

  deadLetters: {
    title: "Dead letters",
  },

  webhooks: {
    title: "Webhooks",
  },

  keys: {
    title: "Keys and usage",
    nav: "Keys",
  },

  licences: {
    title: "Licences",
    intro: "The console uses these modules, unchanged. Headrace itself is under the MIT licence.",
    module: "Module",
    version: "Version",
    licence: "Licence",
    show: (name) => `Show the licence of ${name}`,
  },

  signIn: {
    title: "Sign in",
    intro: "This service needs an API key. It is exchanged for a session that ends with the key.",
    key: "API key",
    placeholder: "hr_…",
    show: "Show the key",
    submit: "Sign in",
    empty: "Paste an API key first.",
    help: "The operator of the service makes keys: make api-key TENANT=… SCOPES=submit,read",
  },
};
