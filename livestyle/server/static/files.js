/** Pictures that the user drops, pastes or chooses. */

import { element, on } from "./dom.js";

/** Call take(files, target) with pictures that are dropped or pasted on a target. hint() is the text while they are dragged. */
export function listenToPictures(take, hint) {
  let depth = 0; // of the elements that the pointer has entered
  const hasFiles = ({ dataTransfer }) => dataTransfer?.types.includes("Files");
  const takeFrom = (files, target) => {
    const pictures = [...(files ?? [])].filter(({ type }) => type.startsWith("image/"));
    if (pictures.length) take(pictures, target);
  };
  const setDepth = (value) => {
    depth = value;
    element("drop").hidden = depth <= 0;
    element("drop-text").textContent = hint();
  };
  document.addEventListener("dragenter", (event) => hasFiles(event) && setDepth(depth + 1));
  document.addEventListener("dragleave", (event) => hasFiles(event) && setDepth(depth - 1));
  document.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    setDepth(0);
    takeFrom(event.dataTransfer.files, event.target);
  });
  document.addEventListener("paste", (event) => takeFrom(event.clipboardData?.files, event.target));
}

/** Call take(files) with the files that the user chooses in a file input. */
export function listenToChoice(id, take) {
  on(id, "change", ({ target }) => {
    const files = [...target.files];
    target.value = ""; // so that the same file can be chosen again
    if (files.length) take(files);
  });
}
