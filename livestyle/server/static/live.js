/** Live mode: the camera, or the server's source, painted frame by frame. */

import { cameras, hasCameras, openCamera } from "./camera.js";
import { Capture, header } from "./capture.js";
import { announce, announceError, element, on, setPressed, showCard } from "./dom.js";
import { Peer } from "./peer.js";
import { canRecord, Recorder } from "./recorder.js";
import { View } from "./view.js";

const SERVER = "server"; // the value of the server's source in the list of cameras
const METER_MS = 500;
const WEBRTC_HINT = "WebRTC is for networks that lose packets, such as weak Wi-Fi. Its delay is not measured.";
const NO_WEBRTC = "For WebRTC, install it on the server: pip install 'livestyle[webrtc]'.";

export class Live {
  #connection;
  #setAspect;
  #settings = { width: 640, height: 360, mirror: true, maxBytes: 1_000_000 }; // of the captured frames
  #view = new View(element("painting"));
  #recorder;
  #capture = null;
  #peer; // takes the place of the capture if WebRTC is selected
  #session = null; // its ID
  #isFilming = false; // the camera is open
  #isOn = false;
  #starts = 0;
  #choseMirror = false;
  #hasServerSource = false;

  /** setAspect(width, height) fits the frame on the page to a picture; save(blob, extension) saves a recording. */
  constructor(connection, setAspect, save) {
    this.#connection = connection;
    this.#setAspect = setAspect;
    this.#recorder = new Recorder(element("painting"), (time) => (element("record-label").textContent = time), save);
    const [show, lose] = [(...frame) => this.#showFrame(...frame), (error) => this.#losePeer(error)];
    this.#peer = new Peer(element("camera"), this.#settings, show, lose);
    on("start", "click", () => this.toggle());
    on("record", "click", () => this.toggleRecording());
    on("source", "change", () => this.#changeSource());
    on("connection", "change", () => this.#changeSource());
    on("size", "change", () => this.#changeSize());
    on("mirror", "change", ({ target }) => {
      this.#choseMirror = true;
      this.#setMirror(target.checked);
    });
    document.addEventListener("visibilitychange", () => {
      this.#openPeer();
      this.send();
    });
    navigator.mediaDevices?.addEventListener("devicechange", () => this.#listSources());
    setInterval(() => this.showMeter(), METER_MS);
    this.#setMirror(true);
    this.#setOn(false);
  }

  /** Whether frames are wanted. */
  get isOn() {
    return this.#isOn;
  }

  /** Take over the limits and sources of a server. */
  hello({ session, limits, server_source: hasServerSource, webrtc: hasWebRtc }) {
    this.#session = session;
    this.#settings.maxBytes = limits.frame_bytes;
    this.#hasServerSource = hasServerSource;
    for (const option of element("size").options) {
      const [width, height] = option.value.split("x").map(Number);
      option.disabled = width * height > limits.frame_pixels;
    }
    element("webrtc").disabled = !hasWebRtc || !Peer.isSupported;
    element("connection-hint").textContent = hasWebRtc ? WEBRTC_HINT : NO_WEBRTC;
    if (element("webrtc").disabled) element("connection").value = "websocket"; // browsers restore what was selected
    this.#listSources();
    this.#openPeer(); // the last one ended with its session
  }

  /** Start or stop. */
  toggle() {
    if (this.#isOn) this.stop();
    else this.start();
  }

  /** Open the chosen source and send frames. */
  async start() {
    const source = element("source").value === SERVER ? SERVER : "camera";
    element("card").hidden = true;
    this.#setOn(true);
    if (!this.#connection.isOpen || this.#connection.source !== source) this.#connection.open(source);
    const start = ++this.#starts;
    const fail = (error) => start === this.#starts && this.#fail(error.message);
    if (source === "camera") await this.#openCamera(start).catch(fail);
    this.send();
  }

  /** Close the camera and send no more frames. The last painting stays. */
  stop() {
    if (this.#recorder.isRecording) this.toggleRecording();
    this.#capture?.stop();
    this.#capture = null;
    this.#isFilming = false;
    this.#peer.close();
    const video = element("camera");
    video.srcObject?.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
    video.hidden = true;
    this.#starts += 1; // a camera that is being opened is closed at once
    this.#setOn(false);
  }

  /** Send the next frame, if the server waits for one and there is one. */
  send() {
    if (!this.#isOn || !this.#connection.hasCredit || document.hidden) return;
    const message = this.#connection.source === SERVER ? header(performance.now()) : this.#capture?.take();
    if (message) this.#connection.sendFrame(message);
  }

  /** Show a painting that has come from the server. */
  async show(buffer) {
    this.#capture?.answered();
    if (!this.#isOn) return;
    const size = await this.#view.show(buffer, this.#connection.source === SERVER);
    if (!this.#isOn) return;
    this.#reveal(...size);
  }

  /** Show a frame of the video of paintings that comes by WebRTC. */
  #showFrame(video, width, height) {
    this.#view.draw(video, width, height);
    this.#reveal(width, height);
  }

  #reveal(width, height) {
    this.#setAspect(width, height);
    element("painting").hidden = element("snapshot").disabled = false;
  }

  /** Show the state of the connection; frames a second and the delay while frames come. */
  showMeter() {
    const { fps, delayMs } = this.#view.figures();
    const { isOpen } = this.#connection;
    const hasFigures = isOpen && this.#isOn && fps > 0;
    const idle = this.#isOn ? "Waiting for pictures" : "Ready";
    const [text, label] = element("meter").childNodes;
    element("meter").dataset.state = hasFigures ? "live" : isOpen ? "ready" : "waiting";
    const figures = delayMs === null ? `${fps} fps` : `${fps} fps · ${Math.round(delayMs)} ms`;
    text.data = hasFigures ? figures : isOpen ? idle : "Not connected";
    label.textContent = hasFigures && delayMs !== null ? " delay" : "";
  }

  toggleRecording() {
    if (element("record").disabled) return;
    if (this.#recorder.isRecording) this.#recorder.stop();
    else this.#recorder.start();
    const { isRecording } = this.#recorder;
    setPressed(element("record"), isRecording);
    element("size").disabled = isRecording; // a video has one size
    if (!isRecording) element("record-label").textContent = "Record";
    announce(isRecording ? "Recording." : "The recording is saved.");
  }

  /** Select the size that is `steps` places further on. */
  stepSize(steps) {
    const select = element("size");
    const option = select.options[select.selectedIndex + steps];
    if (!option || option.disabled || select.disabled) return;
    option.selected = true;
    this.#changeSize();
    announce(`Painted at ${option.text}`);
  }

  async #openCamera(start) {
    const video = element("camera");
    const stream = await openCamera(element("source").value);
    const [track] = stream.getVideoTracks();
    if (start !== this.#starts) {
      track.stop();
      return;
    }
    const { facingMode, deviceId } = track.getSettings();
    track.addEventListener("ended", () => this.#fail("The camera was disconnected. Connect it and start again."));
    if (!this.#choseMirror) this.#setMirror(facingMode !== "environment");
    video.srcObject = stream;
    video.hidden = false;
    await video.play();
    if (start !== this.#starts) return;
    this.#setAspect(video.videoWidth, video.videoHeight);
    this.#isFilming = true;
    if (this.#usesWebRtc) this.#openPeer();
    else this.#openCapture();
    await this.#listSources(deviceId);
  }

  get #usesWebRtc() {
    return element("connection").value === "webrtc";
  }

  #openCapture() {
    this.#capture = new Capture(element("camera"), this.#settings, () => this.send());
  }

  /** Connect the camera with the session by WebRTC, if that is selected; close the connection while the page is hidden. */
  #openPeer() {
    if (!this.#usesWebRtc || !this.#isFilming || document.hidden) this.#peer.close();
    else if (this.#connection.isOpen) this.#peer.open(this.#session);
  }

  /** Use the WebSocket instead. */
  #losePeer({ message }) {
    if (!this.#connection.isOpen) return; // it is opened again with the session
    element("connection").value = "websocket";
    announceError(`The WebSocket is used, as WebRTC failed: ${message}`);
    this.#openCapture();
  }

  #fail(text) {
    this.stop();
    announceError(text);
    showCard("No camera", text, "Try again", () => this.start());
  }

  #setOn(isOn) {
    this.#isOn = isOn;
    element("start-icon").setAttribute("href", isOn ? "#icon-stop" : "#icon-play");
    element("start-label").textContent = isOn ? "Stop" : "Start";
    element("snapshot").disabled = element("painting").hidden;
    element("record").disabled = !isOn || !canRecord();
    this.showMeter();
  }

  /** List the cameras and, if it has one, the server's source. */
  async #listSources(selected = element("source").value) {
    const list = (await cameras()).map(({ id, label }) => new Option(label, id));
    if (!list.length) list.push(new Option("Default camera", ""));
    if (this.#hasServerSource) list.push(new Option("The server’s source", SERVER));
    element("source").replaceChildren(...list);
    const wanted = hasCameras() || !this.#hasServerSource ? selected : SERVER;
    if (list.some(({ value }) => value === wanted)) element("source").value = wanted;
    element("mirror").disabled = element("connection").disabled = element("source").value === SERVER;
  }

  #changeSource() {
    element("mirror").disabled = element("connection").disabled = element("source").value === SERVER;
    if (!this.#isOn) return;
    this.stop();
    this.start();
  }

  #changeSize() {
    [this.#settings.width, this.#settings.height] = element("size").value.split("x").map(Number);
  }

  #setMirror(isMirrored) {
    this.#settings.mirror = element("mirror").checked = isMirrored;
    element("camera").classList.toggle("mirrored", isMirrored);
  }
}
