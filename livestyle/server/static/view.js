/** Shows paintings on a canvas and measures their rate and delay. */

const HEADER_BYTES = 12;
const WINDOW_MS = 1000;

/** A canvas that shows the server's paintings. */
export class View {
  #canvas;
  #context;
  #newest = 0;
  #shown = []; // {at, delay} of the last second, in ms

  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d", { alpha: false });
  }

  /** Decode a message of the server and show it, unless a later one is shown already. Returns the size of the picture shown. */
  async show(buffer, isServerSource) {
    const receivedAt = performance.now();
    const view = new DataView(buffer);
    const [sentTime, serverMs] = [view.getFloat64(0, true), view.getUint32(8, true)];
    const time = isServerSource ? receivedAt - serverMs : sentTime;
    const bitmap = await createImageBitmap(new Blob([new Uint8Array(buffer, HEADER_BYTES)], { type: "image/jpeg" }));
    if (sentTime >= this.#newest) {
      this.#newest = sentTime;
      this.draw(bitmap, bitmap.width, bitmap.height, performance.now() - time);
    }
    bitmap.close();
    return [this.#canvas.width, this.#canvas.height];
  }

  /** Show a picture, or a frame of a video, at a size. delay: from capture to display, in ms; null if it is not known. */
  draw(source, width, height, delay = null) {
    if (this.#canvas.width !== width || this.#canvas.height !== height) Object.assign(this.#canvas, { width, height });
    this.#context.drawImage(source, 0, 0, width, height);
    this.#shown.push({ at: performance.now(), delay });
    this.#forgetOld();
  }

  /** Frames a second and the median delay from capture to display, in ms, of the last second; null if it is not known. */
  figures() {
    this.#forgetOld();
    const delays = this.#shown.map(({ delay }) => delay).filter((delay) => delay !== null).sort((a, b) => a - b);
    return { fps: this.#shown.length, delayMs: delays[delays.length >> 1] ?? null };
  }

  #forgetOld() {
    const start = performance.now() - WINDOW_MS;
    while (this.#shown.length && this.#shown[0].at < start) this.#shown.shift();
  }
}
