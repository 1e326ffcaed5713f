/** Turns the frames of a video element into messages for the server. */

const QUALITY = 0.85;
const LOWEST_QUALITY = 0.4;
const LEAD_MS = 50; // a camera's frame interval and the time to encode
const HEADER_BYTES = 8;

/** A message without a picture: the time, as the 8 bytes that come back with the painting. */
export function header(time) {
  const bytes = new ArrayBuffer(HEADER_BYTES);
  new DataView(bytes).setFloat64(0, time, true);
  return bytes;
}

/** The largest size with the video's aspect ratio and even sides that fits into width x height, or height x width if upright. */
export function fitted(videoWidth, videoHeight, width, height) {
  const [most, least] = [Math.max(width, height), Math.min(width, height)];
  const [boxWidth, boxHeight] = videoWidth >= videoHeight ? [most, least] : [least, most];
  const scale = Math.min(1, boxWidth / videoWidth, boxHeight / videoHeight);
  return [videoWidth, videoHeight].map((side) => Math.max(2, 2 * Math.round((side * scale) / 2)));
}

/**
 * Encodes a frame ahead, so that it is ready when the server has answered the last one.
 * settings: {width, height, mirror, maxBytes}, read for each frame. onReady is called when a message is ready.
 */
export class Capture {
  #video;
  #settings;
  #onReady;
  #canvas = null;
  #context = null;
  #quality = QUALITY;
  #isRunning = true;
  #isBusy = false; // a frame is being encoded, or its message waits
  #message = null;
  #lastTime = -1;
  #takenAt = 0;
  #roundTrip = 0;

  constructor(video, settings, onReady) {
    this.#video = video;
    this.#settings = settings;
    this.#onReady = onReady;
    this.#schedule();
  }

  /** Return the message that is ready, or null, and begin the next one. */
  take() {
    const message = this.#message;
    if (message) {
      this.#message = null;
      this.#isBusy = false;
      this.#takenAt = performance.now();
    }
    return message;
  }

  /** Note that the answer to the last message has come: the next frames are captured shortly before an answer is due. */
  answered() {
    this.#roundTrip = performance.now() - this.#takenAt;
  }

  /** End the capture. */
  stop() {
    this.#isRunning = false;
    this.#message = null;
  }

  #schedule() {
    const video = this.#video;
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback((now, { captureTime }) => this.#frame(captureTime));
    else requestAnimationFrame(() => this.#frame());
  }

  async #frame(captureTime) {
    if (!this.#isRunning) return;
    this.#schedule();
    const now = performance.now();
    const isNew = this.#video.requestVideoFrameCallback || this.#video.currentTime !== this.#lastTime;
    if (this.#isBusy || !isNew || !this.#video.videoWidth || now < this.#takenAt + this.#roundTrip - LEAD_MS) return;
    this.#isBusy = true;
    this.#lastTime = this.#video.currentTime;
    try {
      this.#message = await this.#encode(captureTime > now - 1000 && captureTime <= now ? captureTime : now);
    } finally {
      this.#isBusy = Boolean(this.#message);
    }
    if (this.#isRunning && this.#message) this.#onReady();
  }

  async #encode(time) {
    const { width, height, mirror, maxBytes } = this.#settings;
    const [w, h] = fitted(this.#video.videoWidth, this.#video.videoHeight, width, height);
    const context = this.#contextOf(w, h);
    context.setTransform(mirror ? -1 : 1, 0, 0, 1, mirror ? w : 0, 0);
    context.drawImage(this.#video, 0, 0, w, h);
    const picture = await this.#jpeg();
    if (!picture || HEADER_BYTES + picture.size > maxBytes) {
      this.#quality = Math.max(LOWEST_QUALITY, this.#quality - 0.1);
      return null;
    }
    const message = new Uint8Array(HEADER_BYTES + picture.size);
    message.set(new Uint8Array(header(time)));
    message.set(new Uint8Array(await picture.arrayBuffer()), HEADER_BYTES);
    return message;
  }

  #contextOf(width, height) {
    if (this.#canvas?.width !== width || this.#canvas?.height !== height) {
      this.#canvas = globalThis.OffscreenCanvas ? new OffscreenCanvas(width, height) : document.createElement("canvas");
      Object.assign(this.#canvas, { width, height });
      this.#context = this.#canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    }
    return this.#context;
  }

  #jpeg() {
    const options = { type: "image/jpeg", quality: this.#quality };
    if (this.#canvas.convertToBlob) return this.#canvas.convertToBlob(options);
    return new Promise((resolve) => this.#canvas.toBlob(resolve, options.type, options.quality));
  }
}
