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
