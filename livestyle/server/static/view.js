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
      if (this.#canvas.width !== bitmap.width || this.#canvas.height !== bitmap.height) {
        this.#canvas.width = bitmap.width;
        this.#canvas.height = bitmap.height;
      }
      this.#context.drawImage(bitmap, 0, 0);
      this.#shown.push({ at: performance.now(), delay: performance.now() - time });
      this.#forgetOld();
    }
    bitmap.close();
    return [this.#canvas.width, this.#canvas.height];
  }

  /** Frames a second and the median delay from capture to display, in ms, of the last second. */
  figures() {
    this.#forgetOld();
    const delays = this.#shown.map(({ delay }) => delay).sort((a, b) => a - b);
    return { fps: delays.length, delayMs: delays[delays.length >> 1] ?? null };
  }

  #forgetOld() {
    const start = performance.now() - WINDOW_MS;
    while (this.#shown.length && this.#shown[0].at < start) this.#shown.shift();
  }
}
