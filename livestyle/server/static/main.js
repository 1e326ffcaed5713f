/** The page: connects live mode, photo mode, the controls and the server. */

import { streamAddress } from "./api.js";
import { Connection } from "./connection.js";
import { announce, announceError, download, element, on, setPressed, showCard } from "./dom.js";
import { listenToChoice, listenToPictures } from "./files.js";
import { listenToKeys } from "./keys.js";
import { Live } from "./live.js";
import { Look } from "./look.js";
import { Photo } from "./photo.js";
import { fullScreenToggle } from "./screen.js";
import { Styles } from "./styles.js";

const ADD_HINT = element("add-hint").textContent;
const LIVE_HINT = "Each picture goes to this server, is painted there and comes back.";
const PHOTO_HINT = "Choose, drop or paste a photo. It is painted at its full size.";
const DROP_HINT = "Drop a painting to make it a style";
const DROP_PHOTO_HINT = "Drop a photo on the picture, or a painting on the controls";
const NO_PREDICTOR = "This server cannot make styles from paintings: its predictor is missing.";

let session = null; // the server's hello
let isPhotoMode = false;

const connection = new Connection({
  hello,
  state: (state) => look.adopt(state),
  error: announceError,
  painting: (buffer) => live.show(buffer).catch(announceError),
  credit: () => live.send(),
  lost: () => announceError("The connection was lost. Trying again."),
  ended,
  isLive: () => live.isOn,
});
const styles = new Styles(element("styles"), (name) => look.select(name));
const photo = new Photo(() => session?.session, setAspect);
const look = new Look(styles, (values) => connection.control(values), () => isPhotoMode && photo.repaint());
const live = new Live(connection, setAspect, (blob, extension) => download(blob, look.style, extension));

/** Begin a session: the first one shows the server's look, later ones get the look of this page. */
async function hello(message) {
  session = message;
  live.hello(message);
  element("stream").value = streamAddress(message.session);
  element("add-style").disabled = !message.predicts;
  element("add-hint").textContent = message.predicts ? ADD_HINT : NO_PREDICTOR;
  if (look.isKnown) {
    const renamed = await styles.addAgain(message.session);
    if (session === message) connection.controls(look.messages(renamed));
  } else look.adopt(message.state);
}

/** Show why the server ended the connection. */
function ended(reason) {
  live.stop();
  const again = () => {
    connection.open();
    showHome();
  };
  announceError(reason);
  showCard("Disconnected", reason, "Connect again", again);
}

/** Select a style by the place of its tile, from 1. */
function selectNumber(place) {
  const name = styles.names[place - 1];
  if (name) look.select(name);
}

/** Make styles from the pictures of paintings, and select each. */
async function addStyles(files) {
  if (!session?.predicts) return announceError(session ? NO_PREDICTOR : "The server is not connected.");
  for (const file of files) {
    announce(`Making a style from ${file.name}`);
    await styles.add(file, session.session).then((name) => look.select(name), announceError);
  }
}

/** Take pictures that were dropped or pasted: in photo mode a photo, unless they were dropped on the controls; else paintings. */
function take(files, target) {
  if (isPhotoMode && !target.closest("#controls")) openPhoto(files);
  else addStyles(files);
}

function openPhoto([file]) {
  element("card").hidden = true;
  photo.open(file);
}

/** Switch between live mode and photo mode. */
function setMode(isPhoto) {
  if (isPhoto === isPhotoMode) return;
  isPhotoMode = isPhoto;
  live.stop();
  setPressed(element("mode-live"), !isPhoto);
  setPressed(element("mode-photo"), isPhoto);
  for (const id of ["start", "record", "source-section", "obs-section"]) element(id).hidden = isPhoto;
  element("choose-photo").hidden = !isPhoto;
  element("snapshot-icon").setAttribute("href", isPhoto ? "#icon-download" : "#icon-snapshot");
  element("snapshot-label").textContent = isPhoto ? "Download" : "Snapshot";
  element("snapshot").disabled = !isPhoto || !photo.painting;
  element("painting").hidden = true;
  photo.setVisible(isPhoto);
  showHome();
}

/** Show what to do first; nothing if there is a photo. */
function showHome() {
  element("card").hidden = isPhotoMode && photo.isOpen;
  if (isPhotoMode && photo.isOpen) return photo.repaint();
  setAspect(16, 9);
  if (isPhotoMode) showCard("Paint a photo", PHOTO_HINT, "Choose a photo", choosePhoto);
  else showCard("Your camera, as a painting", LIVE_HINT, "Start the camera", () => live.start());
}

const choosePhoto = () => element("photo-file").click();

/** Fit the frame to a picture's aspect ratio. */
function setAspect(width, height) {
  if (width && height) element("frame").style.setProperty("--aspect", width / height);
}

/** Save the painting that is shown: a PNG of the camera's, the JPEG of the photo's. */
function save() {
  if (element("snapshot").disabled) return;
  if (isPhotoMode) download(photo.painting, look.style, "jpg");
  else element("painting").toBlob((blob) => download(blob, look.style, "png"), "image/png");
  announce("The picture is saved.");
}

async function copyStream() {
  element("stream").select();
  if (navigator.clipboard) await navigator.clipboard.writeText(element("stream").value);
  else document.execCommand("copy"); // on pages without HTTPS
  announce("The address is copied.");
}

const toggleFullScreen = fullScreenToggle(element("stage"));
listenToPictures(take, () => (isPhotoMode ? DROP_PHOTO_HINT : DROP_HINT));
listenToChoice("style-file", addStyles);
listenToChoice("photo-file", openPhoto);
listenToKeys([
  { keys: [..."123456789"], label: "1 – 9", text: "select a style", run: (key) => selectNumber(Number(key)) },
  { keys: ["n"], label: "n", text: "next style", run: () => look.step(1) },
  { keys: ["p"], label: "p", text: "previous style", run: () => look.step(-1) },
  { keys: ["+", "=", "]"], label: "+", text: "more of the painting", run: () => look.addStrength(1) },
  { keys: ["-", "_", "["], label: "−", text: "more of the photo", run: () => look.addStrength(-1) },
  { keys: ["c"], label: "c", text: "the photo’s colours, on or off", run: () => look.toggleColours() },
  { keys: ["v"], label: "v", text: "photo beside the painting", run: () => look.toggleComparison() },
  { keys: [" "], label: "space", text: "start or stop", run: () => isPhotoMode || live.toggle() },
  { keys: ["s"], label: "s", text: "save a picture", run: save },
  { keys: ["r"], label: "r", text: "start or stop recording", run: () => live.toggleRecording() },
  { keys: ["."], label: ".", text: "paint at a larger size", run: () => live.stepSize(1) },
  { keys: [","], label: ",", text: "paint at a smaller size", run: () => live.stepSize(-1) },
  { keys: ["f"], label: "f", text: "full screen", run: toggleFullScreen },
  { keys: ["?", "/"], label: "?", text: "this list", run: () => element("keys").showModal() },
]);
on("choose-photo", "click", choosePhoto);
on("snapshot", "click", save);
on("full-screen", "click", toggleFullScreen);
on("mode-live", "click", () => setMode(false));
on("mode-photo", "click", () => setMode(true));
on("add-style", "click", () => element("style-file").click());
on("copy-stream", "click", () => copyStream().catch(announceError));
window.addEventListener("hashchange", () => location.reload()); // another token
element("docs").href = `/docs${location.hash}`;
showHome();
connection.open();
styles.load().then(() => look.isKnown && look.showStyle(false), announceError);
