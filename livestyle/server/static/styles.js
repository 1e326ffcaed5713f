/** The tiles of the styles, and paintings that become styles. */

import { request } from "./api.js";
import { displayName, setPressed } from "./dom.js";

/** A group of tiles, one for each style. */
export class Styles {
  #container;
  #onSelect;
  #tiles = new Map(); // name -> tile
  #paintings = new Map(); // name -> file, for the styles that the session made from a painting

  /** container: the group of tiles. onSelect(name) is called when a tile is activated. */
  constructor(container, onSelect) {
    this.#container = container;
    this.#onSelect = onSelect;
  }

  /** The names of the styles, in the order of the tiles. */
  get names() {
    return [...this.#tiles.keys()];
  }

  /** The picture of a style's tile as an address; "" if it has none. */
  picture(name) {
    return this.#tiles.get(name)?.querySelector("img")?.src ?? "";
  }

  /** Show a tile for each style of the server. */
  async load() {
    const { styles } = await (await request("/api/styles")).json();
    this.sync([...styles.map(({ name }) => name), ...this.#paintings.keys()]);
    await Promise.all(styles.map((style) => this.#describe(style).catch(() => {}))); // without its picture a tile works as well
  }

  /** Show tiles for these styles, and for none but them and the paintings of this page. */
  sync(names) {
    for (const [name, tile] of this.#tiles) {
      if (names.includes(name) || this.#paintings.has(name)) continue;
      this.#tiles.delete(name);
      this.#remove(tile);
    }
    for (const name of names) {
      if (!this.#tiles.has(name)) this.#tiles.set(name, this.#newTile(name));
    }
  }

  /** Mark the tile of the style that is shown, and make it visible if the tiles scroll. */
  mark(name) {
    for (const [each, tile] of this.#tiles) setPressed(tile, each === name);
    const tile = this.#tiles.get(name);
    if (!tile) return;
    const middle = tile.offsetLeft + tile.offsetWidth / 2 - this.#container.offsetLeft;
    this.#container.scrollLeft = middle - this.#container.clientWidth / 2;
  }

  /** Make a style from the picture of a painting. Returns its name. Throws an Error if the server refuses it. */
  async add(file, session) {
    const tile = this.#newTile(file.name.replace(/\.\w+$/, ""));
    this.#setPicture(tile, file);
    return this.#make(tile, file, session);
  }

  /** Make the styles again in a new session, and return a map of old names to new ones. */
  async addAgain(session) {
    const names = new Map();
    for (const [old, file] of [...this.#paintings]) {
      const tile = this.#tiles.get(old);
      this.#paintings.delete(old);
      this.#tiles.delete(old);
      await this.#make(tile, file, session).then((name) => names.set(old, name), () => {}); // the tile is gone then
    }
    return names;
  }

  async #make(tile, file, session) {
    tile.classList.add("pending");
    tile.disabled = true;
    let name;
    try {
      const path = `/api/sessions/${session}/styles?name=${encodeURIComponent(file.name)}`;
      const response = await request(path, { method: "POST", body: file });
      name = (await response.json()).style;
    } catch (error) {
      this.#remove(tile);
      throw error;
    }
    tile.classList.remove("pending");
    tile.disabled = false;
    this.#rename(tile, name);
    if (this.#tiles.has(name)) this.#remove(this.#tiles.get(name)); // a state with the name came first
    this.#tiles.set(name, tile);
    this.#paintings.set(name, file);
    return name;
  }

  async #describe({ name, origin, licence, thumbnail }) {
    const tile = this.#tiles.get(name);
    tile.title = [displayName(name), origin, licence].filter(Boolean).join(" · ");
    if (thumbnail && !tile.querySelector("img")) this.#setPicture(tile, await (await request(thumbnail)).blob());
  }

  #newTile(name) {
    const tile = document.createElement("button");
    tile.type = "button";
    tile.className = "tile";
    const thumbnail = document.createElement("span");
    thumbnail.className = "thumbnail";
    const text = document.createElement("span");
    text.className = "name";
    tile.append(thumbnail, text);
    tile.addEventListener("click", () => this.#onSelect(tile.dataset.style));
    setPressed(tile, false);
    this.#rename(tile, name);
    this.#container.append(tile);
    return tile;
  }

  #rename(tile, name) {
    tile.dataset.style = name;
    tile.title = displayName(name);
    tile.querySelector(".name").textContent = displayName(name);
  }

  #setPicture(tile, blob) {
    const image = new Image();
    image.alt = "";
    image.src = URL.createObjectURL(blob);
    tile.querySelector(".thumbnail").replaceChildren(image);
  }

  #remove(tile) {
    const image = tile.querySelector("img");
    if (image) URL.revokeObjectURL(image.src);
    tile.remove();
  }
}
