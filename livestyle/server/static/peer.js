/** The camera's frames to the page's session by WebRTC, and the paintings back. */

import { token } from "./api.js";
import { drawFrame, eachFrame } from "./capture.js";
import { openSession } from "./webrtc.js";

const SILENT_MS = 10_000; // without a painting for this long, the connection is taken as lost

export class Peer {
  #camera;
  #settings;
  #onPainting;
  #onLost;
  #abort = new AbortController(); // closes the connection
  #last = Promise.resolve(); // settles when the last connection has ended: a session takes one at a time

  /** Whether this browser can send the frames of a canvas. */
  static isSupported = Boolean(globalThis.RTCPeerConnection && HTMLCanvasElement.prototype.captureStream);

  /**
   * camera: a video element. settings: {width, height, mirror}, read for each frame. onPainting(video, width, height) is called
   * for each painting, onLost(error) if the connection fails or ends by itself.
   */
  constructor(camera, settings, onPainting, onLost) {
    this.#camera = camera;
    this.#settings = settings;
    this.#onPainting = onPainting;
    this.#onLost = onLost;
  }

  /** Send the camera's frames to a session, by its ID. A connection that is open is closed first. */
  open(session) {
    this.close();
    const abort = (this.#abort = new AbortController());
    this.#last = this.#last.then(() => abort.signal.aborted || this.#run(session, abort));
  }

  /** Close the connection, on the server too. */
  close() {
    this.#abort.abort();
  }

  /** Paint until the connection is closed or lost. */
  async #run(session, abort) {
    const { signal } = abort;
    const context = document.createElement("canvas").getContext("2d", { alpha: false });
    const draw = () => !signal.aborted && drawFrame(context, this.#camera, this.#settings);
    draw();
    eachFrame(this.#camera, draw);
    const frames = context.canvas.captureStream(); // not the camera's: the server gets the same frames as by the WebSocket
    const paintings = Object.assign(document.createElement("video"), { muted: true, playsInline: true });

    let lose;
    const ended = new Promise((resolve, reject) => {
      signal.addEventListener("abort", resolve);
      lose = () => reject(new Error("no paintings came."));
    });
    let [connection, timer] = [null, 0];
    const restartTimer = () => {
      clearTimeout(timer);
      timer = setTimeout(lose, SILENT_MS);
    };
    try {
      connection = await openSession(frames, token, { session }, lose);
      restartTimer();
      paintings.srcObject = connection.paintings;
      paintings.play().catch(() => {}); // closed before the first painting
      eachFrame(paintings, () => {
        if (signal.aborted) return false;
        restartTimer();
        this.#onPainting(paintings, context.canvas.width, context.canvas.height);
      });
      await ended;
    } catch (error) {
      if (!signal.aborted) this.#onLost(error);
    }
    abort.abort();
    clearTimeout(timer);
    paintings.srcObject = null;
    frames.getTracks().forEach((track) => track.stop());
    await connection?.end();
  }
}
