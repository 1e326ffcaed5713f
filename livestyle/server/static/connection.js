/** A session with the server: one WebSocket, opened again when it is lost. */

import { token } from "./api.js";

const BACKOFF_MS = [500, 1000, 2000, 4000, 8000, 15_000];
const REFUSED = 1008;
const FULL = 1013;
const AWAY = 1001;
const ANSWER_MS = 20_000; // without an answer to a frame for this long, the connection is taken as lost
const CONTROL_GAP_MS = 40; // the server accepts 60 control messages a second

/**
 * Sends controls and frames, and calls `events`: hello(hello), state(state), error(text), painting(buffer), credit(), lost(),
 * ended(reason). isLive() returns whether the page wants frames.
 */
export class Connection {
  #events;
  #socket = null;
  #source = "camera";
  #isOpen = false;
  #queue = []; // control messages that wait
  #controlSent = false;
  #state = null; // the server's last one
  #gap = 0;
  #frameSent = false;
  #watchdog = 0;
  #failures = 0;
  #retry = 0;
  #waitsForView = false;

  constructor(events) {
    this.#events = events;
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && this.#waitsForView) this.open();
    });
  }

  /** Whether the server has accepted the session. */
  get isOpen() {
    return this.#isOpen;
  }

  /** Whether the server may be sent a frame: it has answered the last one. */
  get hasCredit() {
    return this.#isOpen && !this.#frameSent;
  }

  /** "camera" if the browser sends the frames, "server" if the server has them. */
  get source() {
    return this.#source;
  }

  /** Open the session, or open it again with another source. */
  open(source = this.#source) {
    this.#forget();
    this.#source = source;
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/ws`);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => socket.send(JSON.stringify(token ? { token, source } : { source }));
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") this.#receiveText(JSON.parse(data));
      else this.#receivePainting(data);
    };
    socket.onclose = ({ code, reason }) => this.#closed(code, reason);
    this.#socket = socket;
  }

  /** Change controls. One message is on its way at a time; what changes meanwhile is merged into the next one. */
  control(values) {
    if (this.#queue.length) Object.assign(this.#queue.at(-1), values);
    else this.#queue.push({ ...values });
    this.#sendControl();
  }

  /** Send several control messages one after the other. */
  controls(messages) {
    this.#queue.push(...messages);
    this.#sendControl();
  }

  /** Send a frame, or a request for one: 8 bytes that come back with the painting, and the picture. */
  sendFrame(bytes) {
    this.#frameSent = true;
    this.#watchdog = setTimeout(() => this.#closed(0, ""), ANSWER_MS);
    this.#socket.send(bytes);
  }

  #receiveText(message) {
    if (message.session) {
      this.#isOpen = true;
      this.#failures = 0;
      this.#state = message.state;
      this.#events.hello(message);
      this.#events.credit();
    } else if (message.frame) {
      this.#returnCredit();
      this.#events.error(message.error);
      this.#events.credit();
    } else {
      this.#controlSent = false;
      if (message.error) this.#events.error(message.error);
      else this.#state = message.state;
      if (!this.#queue.length) this.#events.state(this.#state); // else a later change is on its way, which the page shows already
      this.#sendControl();
    }
  }

  #receivePainting(buffer) {
    this.#returnCredit();
    this.#events.credit(); // first: the server paints the next frame while the page shows this one
    this.#events.painting(buffer);
  }

  #returnCredit() {
    this.#frameSent = false;
    clearTimeout(this.#watchdog);
  }

  #sendControl() {
    if (!this.#isOpen || this.#controlSent || this.#gap || !this.#queue.length) return;
    this.#controlSent = true;
    this.#socket.send(JSON.stringify(this.#queue.shift()));
    this.#gap = setTimeout(() => {
      this.#gap = 0;
      this.#sendControl();
    }, CONTROL_GAP_MS);
  }

  #closed(code, reason) {
    this.#forget();
    if (code === REFUSED || code === FULL || (code === AWAY && !this.#events.isLive())) {
      this.#events.ended(reason || "The server closed the connection.");
      return;
    }
    const wait = BACKOFF_MS[Math.min(this.#failures++, BACKOFF_MS.length - 1)];
    this.#retry = setTimeout(() => {
      if (document.hidden) this.#waitsForView = true;
      else this.open();
    }, wait);
    this.#events.lost();
  }

  #forget() {
    const socket = this.#socket;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
    clearTimeout(this.#retry);
    clearTimeout(this.#gap);
    this.#returnCredit();
    this.#socket = null;
    this.#isOpen = this.#controlSent = this.#waitsForView = false;
    this.#gap = 0;
    this.#queue = [];
  }
}
