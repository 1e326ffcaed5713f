/** Full screen, with a toolbar that hides while nothing is touched. */

const IDLE_MS = 2500;

/** Return a function that shows an element on the full screen, or ends that; iPhones show it in the full window. */
export function fullScreenToggle(stage) {
  let timer = 0;
  const wake = () => {
    stage.classList.remove("idle");
    clearTimeout(timer);
    timer = setTimeout(() => stage.classList.add("idle"), IDLE_MS);
  };
  for (const type of ["pointermove", "pointerdown", "keydown", "focusin"]) stage.addEventListener(type, wake);
  return () => {
    if (!stage.requestFullscreen) stage.classList.toggle("full-window");
    else if (document.fullscreenElement) document.exitFullscreen();
    else stage.requestFullscreen().catch(() => stage.classList.toggle("full-window"));
    wake();
  };
}
