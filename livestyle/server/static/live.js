/** Live mode: the camera, or the server's source, painted frame by frame. */

import { cameras, hasCameras, openCamera } from "./camera.js";
import { Capture, header } from "./capture.js";
import { announce, announceError, element, on, setPressed, showCard } from "./dom.js";
import { canRecord, Recorder } from "./recorder.js";
import { View } from "./view.js";

const SERVER = "server"; // the value of the server's source in the list of cameras
const METER_MS = 500;

export class Live {
  #connection;
  #setAspect;
  #settings = { width: 640, height: 360, mirror: true, maxBytes: 1_000_000 }; // of the captured frames
  #view = new View(element("painting"));
  #recorder;
  #capture = null;
  #isOn = false;
  #starts = 0;
  #choseMirror = false;
  #hasServerSource = false;

  /** setAspect(width, height) fits the frame on the page to a picture; save(blob, extension) saves a recording. */
  constructor(connection, setAspect, save) {
    this.#connection = connection;
    this.#setAspect = setAspect;
    this.#recorder = new Recorder(element("painting"), (time) => (element("record-label").textContent = time), save);
    on("start", "click", () => this.toggle());
    on("record", "click", () => this.toggleRecording());
    on("source", "change", () => this.#changeSource());
    on("size", "change", () => this.#changeSize());
    on("mirror", "change", ({ target }) => {
      this.#choseMirror = true;
      this.#setMirror(target.checked);
    });
    document.addEventListener("visibilitychange", () => this.send());
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
  hello({ limits, server_source: hasServerSource }) {
    this.#settings.maxBytes = limits.frame_bytes;
    this.#hasServerSource = hasServerSource;
    for (const option of element("size").options) {
      const [width, height] = option.value.split("x").map(Number);
      option.disabled = width * height > limits.frame_pixels;
    }
    this.#listSources();
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
    this.#setAspect(...size);
    element("painting").hidden = element("snapshot").disabled = false;
  }

  /** Show the state of the connection; frames a second and the delay while frames come. */
  showMeter() {
    const { fps, delayMs } = this.#view.figures();
    const { isOpen } = this.#connection;
    const hasFigures = isOpen && this.#isOn && delayMs !== null;
    const idle = this.#isOn ? "Waiting for pictures" : "Ready";
    const [text, label] = element("meter").childNodes;
    element("meter").dataset.state = hasFigures ? "live" : isOpen ? "ready" : "waiting";
    text.data = hasFigures ? `${fps} fps · ${Math.round(delayMs)} ms` : isOpen ? idle : "Not connected";
    label.textContent = hasFigures ? " delay" : "";
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
    this.#capture = new Capture(video, this.#settings, () => this.send());
    await this.#listSources(deviceId);
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
    element("mirror").disabled = element("source").value === SERVER;
  }

  #changeSource() {
    element("mirror").disabled = element("source").value === SERVER;
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
