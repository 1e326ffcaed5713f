/** Elements of the page, messages to the user, and downloads. */

const MESSAGE_MS = 5000;
const ERROR_MS = 10_000;
const REVOKE_MS = 10_000; // a download has begun by then

let hideMessage = 0;

/** The element with an id. */
export const element = (id) => document.getElementById(id);

/** Listen to an event of the element with an id. */
export const on = (id, type, run) => element(id).addEventListener(type, run);

/** Set whether a toggle button is pressed. */
export const setPressed = (button, isPressed) => button.setAttribute("aria-pressed", String(isPressed));

/** The name of a style as it is displayed. */
export const displayName = (style) => style.replaceAll("_", " ");

/** Show a message on the picture for some seconds. Screen readers read it out, as the element is a live region. */
export function announce(text, isError = false) {
  const status = element("status");
  status.textContent = text;
  status.classList.toggle("error", isError);
  status.classList.add("shown");
  clearTimeout(hideMessage);
  hideMessage = setTimeout(() => status.classList.remove("shown"), isError ? ERROR_MS : MESSAGE_MS);
}

/** Show an error on the picture for some seconds. */
export const announceError = (error) => announce(error.message ?? error, true);

/** Show a card on the picture: a title, a text and a button with an action. It covers the message that was announced last. */
export function showCard(title, text, button, action) {
  element("card-title").textContent = title;
  element("card-text").textContent = text;
  element("card-button").textContent = button;
  element("card-button").onclick = action;
  element("card").hidden = false;
  element("status").classList.remove("shown");
}

/** Save a blob as a file. The file's name states the program, a label and the time. */
export function download(blob, label, extension) {
  const link = document.createElement("a");
  const time = new Date(Date.now() - new Date().getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
  link.href = URL.createObjectURL(blob);
  link.download = `livestyle-${label}-${time.replaceAll(/[T:]/g, "-")}.${extension}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), REVOKE_MS);
}
