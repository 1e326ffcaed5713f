/** Photo mode: one photo, painted by the server at its full size. */

import { request } from "./api.js";
import { element } from "./dom.js";

const SETTLE_MS = 300; // a slider that moves is painted once, when it rests

export class Photo {
  #events;
  #file = null;
  #painting = null;
  #timer = 0;
  #isPainting = false;
  #isStale = false;

  /** events: session() returns the session's ID, shown(width, height), painted(), failed(text). */
  constructor(events) {
    this.#events = events;
    element("photo").addEventListener("load", ({ target }) => events.shown(target.naturalWidth, target.naturalHeight));
    element("painted-photo").addEventListener("load", ({ target }) => events.shown(target.naturalWidth, target.naturalHeight));
  }

  /** The painting as a JPEG; null before it is complete. */
  get painting() {
    return this.#painting;
  }

  get hasPhoto() {
    return this.#file !== null;
  }

  /** Show a photo and paint it. */
  open(file) {
    this.#file = file;
    this.#painting = null;
    setPicture("photo", file);
    setPicture("painted-photo", null);
    this.#paint();
  }

  /** Paint the photo again, as the look has changed. */
  repaint() {
    if (!this.#file) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#paint(), SETTLE_MS);
  }

  async #paint() {
    if (this.#isPainting) {
      this.#isStale = true; // one request at a time
      return;
    }
    const file = this.#file;
    this.#isPainting = true;
    element("busy").hidden = false;
    try {
      const response = await request(`/api/paint?session=${this.#events.session()}`, { method: "POST", body: file });
      const painting = await response.blob();
      if (file === this.#file) {
        this.#painting = painting;
        setPicture("painted-photo", painting);
        this.#events.painted();
      }
    } catch (error) {
      this.#events.failed(error.message);
    }
    this.#isPainting = false;
    element("busy").hidden = true;
    if (this.#isStale) {
      this.#isStale = false;
      this.#paint();
    }
  }
}

function setPicture(id, blob) {
  const image = element(id);
  if (image.src) URL.revokeObjectURL(image.src);
  if (blob) image.src = URL.createObjectURL(blob);
  else image.removeAttribute("src");
  image.hidden = !blob;
}
