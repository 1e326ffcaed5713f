/** The page of the API: renders /openapi.json. */

import { request } from "./api.js";
import { element } from "./dom.js";

/** A new element with a class, a text and children. */
function make(tag, className, text = "", ...children) {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  made.append(...children);
  return made;
}

/** A table with a caption; cells are texts. */
function table(caption, columns, rows) {
  const head = make("thead", "", "", make("tr", "", "", ...columns.map((column) => Object.assign(make("th", "", column), { scope: "col" }))));
  const body = make("tbody", "", "", ...rows.map((cells) => make("tr", "", "", ...cells.map((cell) => make("td", "", cell)))));
  const area = make("div", "scrolled", "", make("table", "", "", make("caption", "", caption), head, body));
  area.tabIndex = 0; // so that the keyboard can scroll it
  area.setAttribute("role", "region");
  area.setAttribute("aria-label", caption);
  return area;
}

/** The type and bounds of a parameter in words. */
function describe({ type = "", enum: choices, default: value, minimum, maximum } = {}) {
  const bounds = minimum !== undefined && maximum !== undefined ? `${minimum} to ${maximum}` : "";
  return [choices ? choices.join(", ") : type, bounds, value === undefined ? "" : `default ${value}`].filter(Boolean).join("; ");
}

/** The section of one method of a path. */
function operation(path, method, { summary = "", description = "", parameters = [], requestBody, responses = {} }) {
  const title = make("h2", "", "", make("span", "method", method.toUpperCase()), make("code", "", path));
  const section = make("section", "", "", title, make("p", "", summary), ...(description ? [make("p", "hint", description)] : []));
  if (parameters.length) {
    const rows = parameters.map(({ name, in: place, required, schema, description: text = "" }) => [required ? `${name} (required)` : name, place, describe(schema), text]);
    section.append(table("Parameters", ["Name", "In", "Value", "Meaning"], rows));
  }
  if (requestBody) section.append(make("p", "", `Body: ${[requestBody.description, Object.keys(requestBody.content ?? {}).join(", ")].filter(Boolean).join(" · ")}`));
  const rows = Object.entries(responses).map(([status, { description: text = "", content = {} }]) => [status, Object.keys(content).join(", "), text]);
  if (rows.length) section.append(table("Responses", ["Status", "Type", "Meaning"], rows));
  return section;
}

/** Fetch the description of the API and show it. */
async function show() {
  element("back").href = `/${location.hash}`; // the token stays in the link
  const { info, paths } = await (await request("/openapi.json")).json();
  element("introduction").textContent = info.description || info.title;
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, details] of Object.entries(methods)) element("operations").append(operation(path, method, details));
  }
}

show().catch((error) => (element("introduction").textContent = error.message));
