/** The page: connects the camera, the photo, the controls and the server. */

import { streamAddress } from "./api.js";
import { cameras, hasCameras, openCamera } from "./camera.js";
import { Capture, header } from "./capture.js";
import { Connection } from "./connection.js";
import { announce, displayName, download, element, hideCard, setPressed, showCard } from "./dom.js";
import { listenToKeys } from "./keys.js";
import { LookControls, pairOf } from "./look.js";
import { Photo } from "./photo.js";
import { canRecord, Recorder } from "./recorder.js";
import { fullScreenToggle } from "./screen.js";
import { Styles } from "./styles.js";
import { View } from "./view.js";

const METER_MS = 500;
const SERVER = "server"; // the value of the server's source in the list of cameras
const ADD_HINT = "Any painting becomes a style at once: choose, drop or paste it.";
const PRIVACY = "Each picture goes to this server, is painted there and comes back. None is stored.";

const canvas = element("painting");
const video = element("camera");
const settings = { width: 640, height: 360, mirror: true, maxBytes: 1_000_000 }; // of the captured frames
const view = new View(canvas);

let session = null; // the server's hello
let look = null; // the state as the user wants it; sent again after a reconnect
let confirmed = null; // the server's last state
let pair = [null, null]; // the last two styles
let mode = "live";
let capture = null;
let isLive = false;
let choseMirror = false;

const connection = new Connection({
  hello,
  state: (state) => {
    confirmed = state;
    adopt({ ...state, ...connection.waitingControls });
  },
  controlError: (text) => {
    announce(text, true);
    adopt({ ...confirmed, ...connection.waitingControls });
  },
  frameError: (text) => announce(text, true),
  painting: showPainting,
  credit: sendFrame,
  lost: () => {
    showMeter();
    announce("The connection was lost. Trying again.", true);
  },
  ended: (reason) => {
    stop();
    showMeter();
    showCard({ title: "Disconnected", text: reason, button: "Connect again", action: connectAgain });
    announce(reason, true);
  },
  isLive: () => isLive,
});

const controls = new LookControls(change);
const styles = new Styles(element("styles"), selectStyle);
const recorder = new Recorder(
  canvas,
  (time) => (element("record-label").textContent = time),
  (blob, extension) => download(blob, look.style, extension),
);
const photo = new Photo({
  session: () => session?.session ?? "",
  shown: setAspect,
  painted: () => {
    element("snapshot").disabled = false;
    announce("The photo is painted.");
  },
  failed: (text) => announce(text, true),
});
const toggleFullScreen = fullScreenToggle(element("stage"));

/** Begin a session: the first one shows the server's look, later ones get the look of this page. */
async function hello(message) {
  session = message;
  settings.maxBytes = message.limits.frame_bytes;
  for (const option of element("size").options) {
    const [width, height] = option.value.split("x").map(Number);
    option.disabled = width * height > message.limits.frame_pixels;
  }
  element("stream").value = streamAddress(message.session);
  element("add-style").disabled = !message.predicts;
  element("add-hint").textContent = message.predicts ? ADD_HINT : "This server cannot make styles from paintings: its predictor is missing.";
  showMeter();
  listSources();
  confirmed = message.state;
  if (look) await restore(message.session);
  else adopt(message.state);
}

/** Send the look of before a reconnect. Styles that were made from paintings are made again. */
async function restore(id) {
  const names = await styles.addAgain(id);
  if (session.session !== id) return; // lost again meanwhile
  const [before, last] = pair.map((name) => names.get(name) ?? name).map((name) => (styles.names.includes(name) ? name : null));
  const { strength, fade, colours, compare, blend } = look;
  pair = [before, last];
  look = { ...look, style: names.get(look.style) ?? look.style };
  connection.controls([
    { fade: 0 },
    ...(before ? [{ style: before }] : []),
    { strength, colours, compare, ...(last && { style: last }), ...(before && last && blend < 1 && { blend }) },
    { fade },
  ]);
}

/** Change controls: at once on this page, then on the server. */
function change(values) {
  if (!look) return;
  connection.control(values);
  adopt({ ...look, ...values, ...(values.style && { blend: 1 }) });
}

/** Take over a state and show it. */
function adopt(state) {
  const before = look;
  pair = pairOf(state, pair, shownStyle());
  look = state;
  styles.sync(state.styles);
  controls.show(state, pair);
  if (before?.style !== state.style) showStyle(Boolean(before));
  const isOther = ["style", "strength", "blend", "colours"].some((name) => before?.[name] !== state[name]);
  if (mode === "photo" && isOther) photo.repaint();
}

/** Mark the style's tile, and announce the style if it has changed. */
function showStyle(isChange) {
  const style = shownStyle();
  const name = look.styles.includes(look.style) ? displayName(style) : pair.map(displayName).join(" and ");
  styles.mark(style);
  element("backdrop").src = styles.picture(style) || "/static/icon.svg";
  canvas.setAttribute("aria-label", `Painting in the style ${name}`);
  if (isChange) announce(`Style: ${name}`);
}

/** The name of the style that has the larger share. */
function shownStyle() {
  return look?.blend !== null && look?.blend < 0.5 ? pair[0] : pair[1];
}

/** Select a style. From a blend of it, the blend moves to its end, which keeps the pair. */
function selectStyle(name) {
  const isBlend = look?.blend > 0 && look.blend < 1;
  change(isBlend && pair.includes(name) ? { blend: pair.indexOf(name) } : { style: name });
}

/** Select the style that is `steps` places further on. */
function stepStyle(steps) {
  const { names } = styles;
  selectStyle(names[(names.indexOf(shownStyle()) + steps + names.length) % names.length]);
}

/** Make styles from the pictures of paintings, and select the last one. */
async function addStyles(files) {
  for (const file of files) {
    if (!session?.predicts) return announce(element("add-hint").textContent, true);
    try {
      announce(`Making a style from ${file.name}`);
      selectStyle(await styles.add(file, session.session));
    } catch (error) {
      announce(error.message, true);
    }
  }
}

/** Start: open the chosen source and send frames. */
async function start() {
  if (isLive) return;
  const source = element("source").value === SERVER ? SERVER : "camera";
  if (source === "camera" && !(await showCamera())) return;
  isLive = true;
  hideCard();
  canvas.hidden = false;
  if (!connection.isOpen || connection.source !== source) connection.open(source);
  setStarted(true);
  sendFrame();
}

/** Open the camera. Returns whether that worked; if not, a card states what to do. */
async function showCamera() {
  try {
    video.srcObject = await openCamera(element("source").value);
  } catch (error) {
    showCard({ title: "No camera", text: error.message, button: "Try again", action: start });
    announce(error.message, true);
    return false;
  }
  const [track] = video.srcObject.getVideoTracks();
  track.addEventListener("ended", () => {
    stop();
    showCard({ title: "No camera", text: "The camera was disconnected. Connect it and start again.", button: "Start", action: start });
  });
  if (!choseMirror) setMirror(track.getSettings().facingMode !== "environment");
  video.hidden = false;
  await video.play();
  setAspect(video.videoWidth, video.videoHeight);
  capture = new Capture(video, settings, sendFrame);
  await listSources(track.getSettings().deviceId);
  return true;
}

/** Stop: close the camera and send no more frames. The last painting stays. */
function stop() {
  if (recorder.isRecording) toggleRecording();
  capture?.stop();
  capture = null;
  video.srcObject?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
  video.hidden = true;
  isLive = false;
  setStarted(false);
}

function setStarted(isStarted) {
  element("start-icon").setAttribute("href", isStarted ? "#icon-stop" : "#icon-play");
  element("start-label").textContent = isStarted ? "Stop" : "Start";
  element("snapshot").disabled = !isStarted && canvas.hidden;
  element("record").disabled = !isStarted || !canRecord();
  showMeter();
}

/** Send the next frame, if the server waits for one and there is one. */
function sendFrame() {
  if (!isLive || !connection.hasCredit || document.hidden) return;
  const message = connection.source === SERVER ? header(performance.now()) : capture?.take();
  if (message) connection.sendFrame(message);
}

/** Show a painting that has come from the server. */
async function showPainting(buffer) {
  capture?.answered();
  if (!isLive) return;
  await view.show(buffer, connection.source === SERVER);
  setAspect(canvas.width, canvas.height);
}

/** Show the photo that is to be painted. */
function openPhoto(file) {
  if (!file.type.startsWith("image/")) return announce("This file is not a picture.", true);
  hideCard();
  element("snapshot").disabled = true;
  photo.open(file);
}

/** Switch between the camera ("live") and a photo ("photo"). */
function setMode(next) {
  mode = next;
  const isPhoto = mode === "photo";
  if (isPhoto) stop();
  document.body.classList.toggle("photo-mode", isPhoto);
  setPressed(element("mode-live"), !isPhoto);
  setPressed(element("mode-photo"), isPhoto);
  for (const id of ["start", "record", "source-section", "obs-section"]) element(id).hidden = isPhoto;
  element("choose-photo").hidden = !isPhoto;
  element("snapshot-icon").setAttribute("href", isPhoto ? "#icon-download" : "#icon-snapshot");
  element("snapshot-label").textContent = isPhoto ? "Download" : "Snapshot";
  element("snapshot").disabled = isPhoto ? !photo.painting : true;
  canvas.hidden = true;
  element("photo").hidden = element("painted-photo").hidden = !isPhoto || !photo.hasPhoto;
  showMeter();
  if (isPhoto && photo.hasPhoto) {
    hideCard();
    photo.repaint();
  } else showHome();
}

/** Show what to do first. */
function showHome() {
  setAspect(16, 9);
  if (mode === "photo") {
    showCard({ title: "Paint a photo", text: "Choose, drop or paste a photo. It is painted at its full size.", button: "Choose a photo", action: choosePhoto });
  } else {
    showCard({ title: "Your camera, as a painting", text: PRIVACY, button: "Start the camera", action: start });
  }
}

const choosePhoto = () => element("photo-file").click();

/** Fit the frame to a picture's aspect ratio. */
function setAspect(width, height) {
  if (width && height) element("frame").style.setProperty("--aspect", width / height);
}

/** Show the state of the connection; frames a second and the delay while frames come. */
function showMeter() {
  const meter = element("meter");
  const { fps, delayMs } = view.figures();
  const hasFigures = connection.isOpen && isLive && delayMs !== null;
  meter.dataset.state = hasFigures ? "live" : connection.isOpen ? "ready" : "waiting";
  const idle = isLive ? "Waiting for pictures" : "Ready";
  meter.firstChild.data = hasFigures ? `${fps} fps · ${Math.round(delayMs)} ms` : connection.isOpen ? idle : "Not connected";
  meter.lastChild.textContent = hasFigures ? " delay" : "";
}

/** List the cameras and, if it has one, the server's source. */
async function listSources(selected = element("source").value) {
  const list = (await cameras()).map(({ id, label }) => new Option(label, id));
  if (!list.length) list.push(new Option("Default camera", ""));
  if (session?.server_source) list.push(new Option("The server’s source", SERVER));
  element("source").replaceChildren(...list);
  const values = list.map(({ value }) => value);
  if (values.includes(selected)) element("source").value = selected;
  else if (session?.server_source && !hasCameras()) element("source").value = SERVER;
  element("mirror").disabled = element("source").value === SERVER;
}

async function changeSource() {
  element("mirror").disabled = element("source").value === SERVER;
  if (!isLive) return;
  stop();
  await start();
}

function setMirror(isOn) {
  settings.mirror = element("mirror").checked = isOn;
  video.classList.toggle("mirrored", isOn);
}

function stepSize(steps) {
  const list = [...element("size").options].filter((option) => !option.disabled);
  const option = list[list.indexOf(element("size").selectedOptions[0]) + steps];
  if (!option) return;
  option.selected = true;
  changeSize();
  announce(`Painted at ${option.text}`);
}

function changeSize() {
  [settings.width, settings.height] = element("size").value.split("x").map(Number);
}

function addStrength(step) {
  if (look) change({ strength: Math.min(1, Math.max(0, Math.round(10 * look.strength + step) / 10)) });
}

/** Save the painting that is shown: a PNG of the camera's, the JPEG of the photo's. */
function save() {
  if (element("snapshot").disabled) return;
  if (mode === "photo") download(photo.painting, look.style, "jpg");
  else canvas.toBlob((blob) => download(blob, look.style, "png"), "image/png");
  announce("The picture is saved.");
}

function toggleRecording() {
  if (element("record").disabled || element("record").hidden) return;
  if (recorder.isRecording) recorder.stop();
  else recorder.start();
  setPressed(element("record"), recorder.isRecording);
  element("size").disabled = recorder.isRecording; // a video has one size
  if (!recorder.isRecording) element("record-label").textContent = "Record";
  announce(recorder.isRecording ? "Recording." : "The recording is saved.");
}

async function copyStream() {
  const input = element("stream");
  input.select();
  if (navigator.clipboard) await navigator.clipboard.writeText(input.value);
  else document.execCommand("copy"); // on pages without HTTPS
  announce("The address is copied.");
}

function toggleStart() {
  if (mode === "photo") return;
  if (isLive) stop();
  else start();
}

function connectAgain() {
  connection.open();
  if (mode === "photo" && photo.hasPhoto) hideCard();
  else showHome();
}

/** The pictures among files. */
const pictures = (files) => [...(files ?? [])].filter(({ type }) => type.startsWith("image/"));

/** Take pictures that were dropped or pasted: in photo mode a photo, unless they were dropped on the panel; else paintings. */
function takePictures(files, target) {
  const found = pictures(files);
  if (!found.length) return;
  if (mode === "photo" && !target.closest("#controls")) openPhoto(found[0]);
  else addStyles(found);
}

function listenToDrops() {
  const hint = element("drop");
  let depth = 0;
  const hasFiles = ({ dataTransfer }) => dataTransfer?.types.includes("Files");
  const setDepth = (value) => {
    depth = value;
    hint.hidden = depth === 0;
    element("drop-text").textContent = mode === "photo" ? "Drop a photo on the picture, or a painting on the styles" : "Drop a painting to make it a style";
  };
  document.addEventListener("dragenter", (event) => hasFiles(event) && setDepth(depth + 1));
  document.addEventListener("dragleave", (event) => hasFiles(event) && setDepth(Math.max(0, depth - 1)));
  document.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    setDepth(0);
    takePictures(event.dataTransfer.files, event.target);
  });
  document.addEventListener("paste", (event) => takePictures(event.clipboardData?.files, event.target));
}

/** Call a function with the files that the user chooses. */
function onFiles(id, run) {
  element(id).addEventListener("change", ({ target }) => {
    run([...target.files]);
    target.value = ""; // so that the same file can be chosen again
  });
}

listenToDrops();
listenToKeys([
  { keys: [..."123456789"], label: "1 – 9", text: "select a style", run: (key) => styles.names[key - 1] && selectStyle(styles.names[key - 1]) },
  { keys: ["n"], label: "n", text: "next style", run: () => stepStyle(1) },
  { keys: ["p"], label: "p", text: "previous style", run: () => stepStyle(-1) },
  { keys: ["+", "=", "]"], label: "+", text: "more of the painting", run: () => addStrength(1) },
  { keys: ["-", "_", "["], label: "−", text: "more of the photo", run: () => addStrength(-1) },
  { keys: ["c"], label: "c", text: "the photo’s colours, on or off", run: () => look && change({ colours: !look.colours }) },
  { keys: ["v"], label: "v", text: "photo beside the painting", run: () => controls.toggleComparison() },
  { keys: [" "], label: "space", text: "start or stop", run: toggleStart },
  { keys: ["s"], label: "s", text: "save a picture", run: save },
  { keys: ["r"], label: "r", text: "start or stop recording", run: toggleRecording },
  { keys: [".", ","], label: ". ,", text: "paint at a larger, a smaller size", run: (key) => stepSize(key === "." ? 1 : -1) },
  { keys: ["f"], label: "f", text: "full screen", run: toggleFullScreen },
  { keys: ["?", "/"], label: "?", text: "this list", run: () => element("keys").showModal() },
]);
element("start").addEventListener("click", toggleStart);
element("choose-photo").addEventListener("click", choosePhoto);
element("snapshot").addEventListener("click", save);
element("record").addEventListener("click", toggleRecording);
element("full-screen").addEventListener("click", toggleFullScreen);
element("mode-live").addEventListener("click", () => mode !== "live" && setMode("live"));
element("mode-photo").addEventListener("click", () => mode !== "photo" && setMode("photo"));
element("add-style").addEventListener("click", () => element("style-file").click());
element("copy-stream").addEventListener("click", copyStream);
element("source").addEventListener("change", changeSource);
element("size").addEventListener("change", changeSize);
element("mirror").addEventListener("change", ({ target }) => {
  choseMirror = true;
  setMirror(target.checked);
});
onFiles("style-file", addStyles);
onFiles("photo-file", ([file]) => file && openPhoto(file));
document.addEventListener("visibilitychange", sendFrame);
navigator.mediaDevices?.addEventListener("devicechange", () => listSources());
window.addEventListener("hashchange", () => location.reload()); // another token
setInterval(showMeter, METER_MS);
element("docs").href = `/docs${location.hash}`;
setStarted(false);
setMirror(true);
showHome();
connection.open();
styles.load().then(() => look && showStyle(false), (error) => announce(error.message, true));
