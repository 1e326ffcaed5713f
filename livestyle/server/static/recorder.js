/** Records a canvas as a video file. */

const TYPES = ["video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm", "video/mp4"];
const BITS_PER_SECOND = 8_000_000;
const PART_MS = 1000;

/** Whether this browser can record a canvas. */
export const canRecord = () => Boolean(globalThis.MediaRecorder && HTMLCanvasElement.prototype.captureStream);

/** Records one canvas, again and again. */
export class Recorder {
  #canvas;
  #onTime;
  #onEnd;
  #recorder = null;
  #timer = 0;

  /** onTime(text) is called each second with the length so far; onEnd(blob, extension) when the recording is complete. */
  constructor(canvas, onTime, onEnd) {
    this.#canvas = canvas;
    this.#onTime = onTime;
    this.#onEnd = onEnd;
  }

  /** Whether a recording runs. */
  get isRecording() {
    return this.#recorder !== null;
  }

  start() {
    const stream = this.#canvas.captureStream();
    const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    const recorder = new MediaRecorder(stream, { mimeType, videoBitsPerSecond: BITS_PER_SECOND });
    const parts = [];
    const startedAt = performance.now();
    recorder.ondataavailable = ({ data }) => parts.push(data);
    recorder.onstop = () => {
      stream.getTracks().forEach((track) => track.stop());
      this.#onEnd(new Blob(parts, { type: recorder.mimeType }), recorder.mimeType.startsWith("video/mp4") ? "mp4" : "webm");
    };
    recorder.start(PART_MS);
    this.#recorder = recorder;
    this.#timer = setInterval(() => this.#onTime(clock((performance.now() - startedAt) / 1000)), PART_MS);
    this.#onTime(clock(0));
  }

  stop() {
    clearInterval(this.#timer);
    this.#recorder?.stop();
    this.#recorder = null;
  }
}

const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
