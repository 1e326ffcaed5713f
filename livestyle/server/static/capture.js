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

/** Call run(now, metadata) for each new frame of a video, until it returns false. Browsers without the callback give neither. */
export function eachFrame(video, run) {
  const hasCallback = Boolean(video.requestVideoFrameCallback);
  let lastTime = -1;
  const step = (now, metadata) => {
    const isNew = hasCallback || video.currentTime !== lastTime;
    lastTime = video.currentTime;
    if (!isNew || run(now, metadata) !== false) next();
  };
  const next = () => (hasCallback ? video.requestVideoFrameCallback(step) : requestAnimationFrame(step));
  next();
}

/** Draw a video's frame on a canvas as the server gets it. settings: {width, height, mirror}. */
export function drawFrame(context, video, { width, height, mirror }) {
  const [w, h] = fitted(video.videoWidth, video.videoHeight, width, height);
  if (context.canvas.width !== w || context.canvas.height !== h) Object.assign(context.canvas, { width: w, height: h });
  context.setTransform(mirror ? -1 : 1, 0, 0, 1, mirror ? w : 0, 0);
  context.drawImage(video, 0, 0, w, h);
}

/**
 * Encodes a frame ahead, so that it is ready when the server has answered the last one.
 * settings: {width, height, mirror, maxBytes}, read for each frame. onReady is called when a message is ready.
 */
export class Capture {
  #video;
  #settings;
  #onReady;
  #canvas = globalThis.OffscreenCanvas ? new OffscreenCanvas(2, 2) : document.createElement("canvas");
  #context = this.#canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  #quality = QUALITY;
  #isRunning = true;
  #isBusy = false; // a frame is being encoded, or its message waits
  #message = null;
  #takenAt = 0;
  #roundTrip = 0;

  constructor(video, settings, onReady) {
    this.#video = video;
    this.#settings = settings;
    this.#onReady = onReady;
    eachFrame(video, (now, metadata) => this.#isRunning && this.#frame(metadata?.captureTime));
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

  async #frame(captureTime) {
    const now = performance.now();
    if (this.#isBusy || !this.#video.videoWidth || now < this.#takenAt + this.#roundTrip - LEAD_MS) return;
    this.#isBusy = true;
    try {
      this.#message = await this.#encode(captureTime > now - 1000 && captureTime <= now ? captureTime : now);
    } finally {
      this.#isBusy = Boolean(this.#message);
    }
    if (this.#isRunning && this.#message) this.#onReady();
  }

  async #encode(time) {
    drawFrame(this.#context, this.#video, this.#settings);
    const picture = await this.#jpeg();
    if (!picture || HEADER_BYTES + picture.size > this.#settings.maxBytes) {
      this.#quality = Math.max(LOWEST_QUALITY, this.#quality - 0.1);
      return null;
    }
    const message = new Uint8Array(HEADER_BYTES + picture.size);
    message.set(new Uint8Array(header(time)));
    message.set(new Uint8Array(await picture.arrayBuffer()), HEADER_BYTES);
    return message;
  }

  #jpeg() {
    const options = { type: "image/jpeg", quality: this.#quality };
    if (this.#canvas.convertToBlob) return this.#canvas.convertToBlob(options);
    return new Promise((resolve) => this.#canvas.toBlob(resolve, options.type, options.quality));
  }
}
