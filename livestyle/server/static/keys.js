/** Keyboard shortcuts: those of `livestyle webcam` that make sense here. */

import { element } from "./dom.js";

const TYPING = "input:not([type=range], [type=checkbox]), select, textarea";
const ACTIVATED = "button, a, input, select, summary"; // elements that use the space bar

/** Listen to keys. shortcuts: a list of {keys, label, text, run(key)}; the dialog lists them and switches them off. */
export function listenToKeys(shortcuts) {
  const dialog = element("keys");
  for (const { label, text } of shortcuts) {
    const [key, meaning] = [document.createElement("dt"), document.createElement("dd")];
    key.textContent = label;
    meaning.textContent = text;
    element("key-list").append(key, meaning);
  }
  element("show-keys").addEventListener("click", () => dialog.showModal());
  element("close-keys").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close()); // on the backdrop
  document.addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || dialog.open || !element("use-keys").checked) return;
    if (target.matches?.(TYPING) || (key === " " && target.matches?.(ACTIVATED))) return;
    const shortcut = shortcuts.find(({ keys }) => keys.includes(key.toLowerCase()));
    if (!shortcut) return;
    event.preventDefault();
    shortcut.run(key.toLowerCase());
  });
}
