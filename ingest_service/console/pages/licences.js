/** The licences of the modules that the console uses, as they were fetched. */

import { ConsoleElement, define, html, signal } from "../element.js";
import "../elements/error-note.js";
import "../elements/page-header.js";
import { strings } from "../strings.js";

const text = strings.licences;
const MODULES = new URL("../modules/", import.meta.url);

class PageLicences extends ConsoleElement {
  static properties = { params: {} };

  #modules = signal([]); // {name, version, licence, texts}
  #error = signal(null);

  async connected() {
    try {
      this.#modules.value = await readModules(this.signal);
    } catch (error) {
      if (error.name !== "AbortError") this.#error.value = error;
    }
  }

  render() {
    return html`
      <page-header .heading=${text.title} .intro=${text.intro}></page-header>
      <error-note .error=${this.#error.value}></error-note>
      ${this.#modules.value.map(moduleItem)}`;
  }
}

const moduleItem = ({ name, version, licence, texts }) => html`
  <details class="module">
    <summary><strong>${name}</strong> <span class="quiet-text">${version}</span> <span class="badge">${licence}</span></summary>
    ${texts.map((one) => html`<pre tabindex="0" aria-label=${text.show(name)} role="region">${one}</pre>`)}
  </details>`;

async function readModules(abort) {
  const lock = await (await fetch(new URL("modules.json", MODULES), { signal: abort })).json();
  return Promise.all(Object.entries(lock).map(([name, module]) => readModule(name, module, abort)));
}

async function readModule(name, { version, licence, files }, abort) {
  const legal = files.map((path) => path.split("/").pop()).filter((file) => /^(LICEN|NOTICE)/.test(file));
  const texts = legal.map(async (file) => (await fetch(new URL(`${name}/${file}`, MODULES), { signal: abort })).text());
  return { name, version, licence, texts: await Promise.all(texts) };
}

define("page-licences", PageLicences);
