/** Photo mode: one photo, painted by the server at its full size. */

import { request } from "./api.js";
import { announce, announceError, element, on } from "./dom.js";

const SETTLE_MS = 300; // a slider that moves is painted once, when it rests

export class Photo {
  #session;
  #file = null;
  #painting = null;
  #timer = 0;
  #isPainting = false;
  #isStale = false;

  /** session() returns the session's ID. setAspect(width, height) fits the frame on the page to a picture. */
  constructor(session, setAspect) {
    this.#session = session;
    for (const id of ["photo", "painted-photo"]) {
      on(id, "load", ({ target }) => setAspect(target.naturalWidth, target.naturalHeight));
    }
  }

  /** The painting as a JPEG; null before it is complete. */
  get painting() {
    return this.#painting;
  }

  /** Whether there is a photo. */
  get isOpen() {
    return this.#file !== null;
  }

  /** Show a photo and paint it. */
  open(file) {
    this.#file = file;
    setPicture("photo", file);
    this.#setPainting(null);
    this.#paint();
  }

  /** Paint the photo again, as the look has changed. */
  repaint() {
    if (!this.#file) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#paint(), SETTLE_MS);
  }

  setVisible(isVisible) {
    element("photo").hidden = !isVisible || !this.#file;
    element("painted-photo").hidden = !isVisible || !this.#painting;
  }

  /** Paint the photo. One request at a time: what changes meanwhile is painted afterwards. */
  async #paint() {
    this.#isStale = this.#isPainting;
    if (this.#isPainting) return;
    const file = this.#file;
    this.#isPainting = true;
    element("busy").hidden = false;
    try {
      const response = await request(`/api/paint?session=${this.#session()}`, { method: "POST", body: file });
      const painting = await response.blob();
      if (file === this.#file) {
        this.#setPainting(painting);
        announce("The photo is painted.");
      }
    } catch (error) {
      announceError(error);
    }
    this.#isPainting = false;
    element("busy").hidden = true;
    if (this.#isStale) this.#paint();
  }

  #setPainting(blob) {
    this.#painting = blob;
    setPicture("painted-photo", blob);
    element("snapshot").disabled = !blob;
  }
}

/** Show a picture in an image element; null shows none. */
function setPicture(id, blob) {
  const image = element(id);
  URL.revokeObjectURL(image.src);
  if (blob) image.src = URL.createObjectURL(blob);
  else image.removeAttribute("src");
  image.hidden = !blob;
}
