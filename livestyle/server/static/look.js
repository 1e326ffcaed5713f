/** The look that the user wants, its controls, and the styles of a blend. */

import { announce, displayName, element, on, setPressed } from "./dom.js";

const percent = (share) => `${Math.round(100 * share)} %`;

export class Look {
  #styles;
  #send;
  #onChange;
  #state = null; // of the server, with the changes that are on their way
  #pair = [null, null]; // the last two styles, the last one second
  #divider = 0.5; // the share of the photo when it was compared last

  /** styles: the tiles. send(values) sends changes to the server. onChange is called when paintings look different. */
  constructor(styles, send, onChange) {
    this.#styles = styles;
    this.#send = send;
    this.#onChange = onChange;
    for (const [id, name] of [["strength", "strength"], ["blend", "blend"], ["fade", "fade"], ["divider", "compare"]]) {
      on(id, "input", ({ target }) => this.change({ [name]: target.valueAsNumber }));
    }
    on("colours", "change", ({ target }) => this.change({ colours: target.checked }));
    on("compare", "click", () => this.toggleComparison());
  }

  /** Whether there is a state: the server has sent one. */
  get isKnown() {
    return this.#state !== null;
  }

  /** The style with the larger share. */
  get style() {
    return this.#state?.blend !== null && this.#state?.blend < 0.5 ? this.#pair[0] : this.#pair[1];
  }

  /** Change controls: at once on this page, then on the server. */
  change(values) {
    if (!this.#state) return;
    this.#send(values);
    this.adopt({ ...this.#state, ...values, ...(values.style && { blend: 1 }) });
  }

  /** Take over a state and show it. */
  adopt(state) {
    const before = this.#state;
    this.#pair = pairOf(state, this.#pair, this.style);
    this.#state = state;
    this.#styles.sync(state.styles);
    this.#showControls();
    if (before?.style !== state.style) this.showStyle(before !== null);
    if (["style", "strength", "blend", "colours"].some((name) => before?.[name] !== state[name])) this.#onChange();
  }

  /** Select a style. From a blend of it, the blend moves to its end, which keeps the pair. */
  select(name) {
    const isBlend = this.#state?.blend > 0 && this.#state.blend < 1;
    this.change(isBlend && this.#pair.includes(name) ? { blend: this.#pair.indexOf(name) } : { style: name });
  }

  /** Select the style that is `steps` places further on. */
  step(steps) {
    const { names } = this.#styles;
    this.select(names[(names.indexOf(this.style) + steps + names.length) % names.length]);
  }

  /** Add tenths to the strength. */
  addStrength(tenths) {
    if (this.#state) this.change({ strength: Math.min(1, Math.max(0, Math.round(10 * this.#state.strength + tenths) / 10)) });
  }

  toggleColours() {
    this.change({ colours: !this.#state?.colours });
  }

  /** Show the photo beside the painting, or the painting alone. */
  toggleComparison() {
    this.change({ compare: this.#state?.compare ? 0 : this.#divider });
  }

  /** The control messages that give a new session this look. renamed: old names of styles -> new ones. */
  messages(renamed) {
    const { names } = this.#styles;
    this.#pair = this.#pair.map((name) => renamed.get(name) ?? name).map((name) => (names.includes(name) ? name : null));
    const [before, last] = this.#pair;
    const { strength, fade, colours, compare, blend } = this.#state;
    const messages = [{ fade: 0 }];
    if (before) messages.push({ style: before });
    if (last) messages.push({ style: last });
    if (before && last && blend < 1) messages.push({ blend });
    return [...messages, { strength, colours, compare, fade }];
  }

  /** Mark the tile of the style; announce its name if it has changed. */
  showStyle(isChange) {
    const isBlend = !this.#state.styles.includes(this.#state.style);
    const name = isBlend ? this.#pair.map(displayName).join(" and ") : displayName(this.style);
    this.#styles.mark(this.style);
    element("backdrop").src = this.#styles.picture(this.style) || "/static/icon.svg";
    element("painting").setAttribute("aria-label", `Painting in the style ${name}`);
    if (isChange) announce(`Style: ${name}`);
  }

  #showControls() {
    const { strength, blend, fade, colours, compare } = this.#state;
    const [before, last] = this.#pair;
    const canBlend = blend !== null && before !== null && before !== last;
    const [one, other] = [before, last].map((name) => displayName(name ?? ""));
    const share = blend ?? 1;
    setRange("strength", strength, percent(strength), `${percent(strength)} painting`);
    setRange("fade", fade, `${fade.toFixed(1)} s`, `${fade.toFixed(1)} seconds`);
    const spoken = canBlend ? `${percent(1 - share)} ${one}, ${percent(share)} ${other}` : "not available";
    setRange("blend", share, canBlend ? `${percent(share)} ${other}` : "", spoken);
    element("blend").disabled = !canBlend;
    element("blend-hint").textContent = canBlend ? `From ${one} to ${other}.` : "Select a second style to blend two.";
    element("colours").checked = colours;
    setPressed(element("compare"), compare > 0);
    element("divider").hidden = element("divider-line").hidden = compare === 0;
    element("frame").style.setProperty("--split", `${100 * compare}%`);
    if (compare) {
      this.#divider = compare;
      setRange("divider", compare, "", `photo ${percent(compare)}, painting ${percent(1 - compare)}`);
    }
  }
}

/** The last two styles of a state. before, last: those of the state before; shown: the one with the larger share. */
function pairOf({ style, styles, blend }, [before, last], shown) {
  const names = styles.includes(style) ? [style] : style.split(",").map((part) => part.split(":")[0]); // "wave:0.7,scream:0.3"
  if (names.length === 2) return names;
  if (style === last) return [before, last];
  return blend === 0 ? [style, last] : [shown, style];
}

/** Set a slider's value, the text beside it and the text for screen readers. */
function setRange(id, value, text, spoken) {
  const input = element(id);
  input.value = value;
  input.style.setProperty("--fill", `${(100 * (value - input.min)) / (input.max - input.min)}%`);
  input.setAttribute("aria-valuetext", spoken);
  element(`${id}-value`)?.replaceChildren(text);
}
