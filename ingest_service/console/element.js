/** The base class of all elements of the console: light DOM, rendered by lit-html whenever a signal that it read changes. */

import { effect, signal } from "./modules/@preact/signals-core/signals-core.module.js";
import { html, nothing, render, svg } from "./modules/lit-html/lit-html.js";

export { batch, computed, effect, signal, untracked } from "./modules/@preact/signals-core/signals-core.module.js";
export { html, nothing, svg };

/**
 * An element that renders itself. Subclasses override `render`, and the hooks they need.
 *
 * `static properties = {name: initial}` are reactive: set one, and the element renders with the next frame.
 * Private state is a field that holds a signal.
 */
export class ConsoleElement extends HTMLElement {
  #properties = new Map();
  #connection = null;
  #stopWatching = null;
  #frame = 0;

  constructor() {
    super();
    for (const name of Object.keys(this.constructor.properties ?? {})) this.#adopt(name);
  }

  /** Return the template of the element's content. */
  render() {
    return nothing;
  }

  /** Runs before the first rendering, each time the element is inserted. */
  connected() {}

  /** Runs after each rendering: for focus, canvas, sizes. */
  rendered() {}

  /** Runs when the element is removed. What uses `this.signal` has ended. */
  disconnected() {}

  /** An AbortSignal that ends with the element's removal: for `addEventListener` and requests. */
  get signal() {
    return this.#connection.signal;
  }

  /** Run an effect of signals until the element is removed. */
  watch(callback) {
    const stop = effect(callback);
    this.signal.addEventListener("abort", stop);
  }

  /** Dispatch an event that bubbles, with `detail`. */
  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true }));
  }

  /** Return the signal behind a property. */
  property(name) {
    if (!this.#properties.has(name)) this.#properties.set(name, signal(this.constructor.properties[name]));
    return this.#properties.get(name);
  }

  connectedCallback() {
    this.#connection = new AbortController();
    this.connected();
    this.#update();
  }

  disconnectedCallback() {
    this.#connection.abort();
    this.#stopWatching?.();
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.disconnected();
  }

  /** Render, and remember which signals that read. The first change of one of them asks for the next frame. */
  #update() {
    this.#frame = 0;
    this.#stopWatching?.();
    let isFirst = true;
    this.#stopWatching = effect(() => {
      if (isFirst) render(this.render(), this);
      else this.#frame ||= requestAnimationFrame(() => this.#update());
      isFirst = false;
    });
    this.rendered();
  }

  /** Take over a property that was set before the element was defined. */
  #adopt(name) {
    if (!Object.hasOwn(this, name)) return;
    const value = this[name];
    delete this[name];
    this[name] = value;
  }
}

/** Register an element, and make accessors of its `static properties`. */
export function define(name, type) {
  for (const property of Object.keys(type.properties ?? {})) {
    Object.defineProperty(type.prototype, property, {
      get() { return this.property(property).value; },
      set(value) { this.property(property).value = value; },
    });
  }
  customElements.define(name, type);
}
