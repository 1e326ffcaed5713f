/** The look as this page wants it, and the controls that change it. */

import { displayName, element, setPressed } from "./dom.js";

const percent = (share) => `${Math.round(100 * share)} %`;

/** The last two styles of a state, the last one second. before, last: those of the state before; shown: the one with the larger share. */
export function pairOf(state, [before, last], shown) {
  const { style, blend } = state;
  const names = state.styles.includes(style) ? [style] : style.split(",").map((part) => part.split(":")[0]); // "wave:0.7,scream:0.3"
  if (names.length === 2) return names;
  if (style === last) return [before, last];
  return blend === 0 ? [style, last] : [shown, style];
}

/** The sliders, switches and the divider. onChange(values) is called when the user changes one. */
export class LookControls {
  #onChange;
  #divider = 0.5; // where the divider was when the comparison was on last

  constructor(onChange) {
    this.#onChange = onChange;
    for (const name of ["strength", "blend", "fade"]) {
      element(name).addEventListener("input", () => onChange({ [name]: element(name).valueAsNumber }));
    }
    element("colours").addEventListener("change", () => onChange({ colours: element("colours").checked }));
    element("divider").addEventListener("input", () => onChange({ compare: element("divider").valueAsNumber }));
    element("compare").addEventListener("click", () => this.toggleComparison());
  }

  /** Show the photo beside the painting, or the painting alone. */
  toggleComparison() {
    const isOn = !element("divider").hidden;
    this.#onChange({ compare: isOn ? 0 : this.#divider });
  }

  /** Show a look. pair: the names of the last two styles, the first null if there was one style only. */
  show(look, [before, last]) {
    setRange("strength", look.strength, percent(look.strength), `${percent(look.strength)} painting`);
    setRange("fade", look.fade, `${look.fade.toFixed(1)} s`, `${look.fade.toFixed(1)} seconds`);
    const canBlend = look.blend !== null && before !== null && before !== last;
    const [one, other] = [before ?? "", last ?? ""].map(displayName);
    element("blend").disabled = !canBlend;
    element("blend-hint").textContent = canBlend ? `From ${one} to ${other}.` : "Select a second style to blend two.";
    const share = look.blend ?? 1;
    setRange("blend", share, canBlend ? `${percent(share)} ${other}` : "", canBlend ? `${percent(1 - share)} ${one}, ${percent(share)} ${other}` : "not available");
    element("colours").checked = look.colours;
    this.#showDivider(look.compare);
  }

  #showDivider(share) {
    const isOn = share > 0;
    if (isOn) {
      this.#divider = share;
      setRange("divider", share, "", `photo ${percent(share)}, painting ${percent(1 - share)}`);
    }
    element("frame").style.setProperty("--split", percent(share).replace(" ", ""));
    element("divider").hidden = element("divider-line").hidden = !isOn;
    setPressed(element("compare"), isOn);
  }
}

/** Set a slider's value, the text beside it and the text for screen readers. */
function setRange(id, value, text, spoken) {
  const input = element(id);
  input.value = value;
  input.style.setProperty("--fill", `${(100 * (value - input.min)) / (input.max - input.min)}%`);
  input.setAttribute("aria-valuetext", spoken);
  const output = element(`${id}-value`);
  if (output) output.textContent = text;
}
