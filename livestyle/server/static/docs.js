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
  const titles = columns.map((column) => Object.assign(make("th", "", column), { scope: "col" }));
  const head = make("thead", "", "", make("tr", "", "", ...titles));
  const body = make("tbody", "", "", ...rows.map((cells) => make("tr", "", "", ...cells.map((cell) => make("td", "", cell)))));
  const area = make("div", "scrolled", "", make("table", "", "", make("caption", "", caption), head, body));
  area.tabIndex = 0; // so that the keyboard can scroll it
  area.setAttribute("role", "region");
  area.setAttribute("aria-label", caption);
  return area;
}

/** The type, choices and bounds of a value in words. */
function describe({ type = "", enum: choices, default: value, minimum, maximum } = {}) {
  const kind = choices ? choices.join(", ") : [type].flat().join(" or ");
  const bounds = maximum === undefined ? "" : `${minimum} to ${maximum}`;
  return [kind, bounds, value === undefined ? "" : `default ${value}`].filter(Boolean).join("; ");
}

/** The media types of a body, and the name of its JSON schema. */
function types({ content = {} }) {
  const name = ({ $ref }) => ($ref ? ` (${$ref.split("/").at(-1)})` : "");
  return Object.entries(content).map(([type, { schema: details = {} }]) => type + name(details)).join(", ");
}

/** The section of one method of a path. */
function operation(path, method, { summary = "", description = "", parameters = [], requestBody, responses = {} }) {
  const title = make("h2", "", "", make("span", "method", method.toUpperCase()), make("code", "", path));
  const section = make("section", "", "", title, make("p", "", summary));
  if (description) section.append(make("p", "hint", description));
  if (requestBody) section.append(make("p", "", `Body: ${types(requestBody)}`));
  if (parameters.length) {
    const name = (each) => (each.required ? `${each.name} (required)` : each.name);
    const rows = parameters.map((each) => [name(each), each.in, describe(each.schema), each.description]);
    section.append(table("Parameters", ["Name", "In", "Value", "Meaning"], rows));
  }
  const rows = Object.entries(responses).map(([status, response]) => [status, types(response), response.description]);
  section.append(table("Responses", ["Status", "Type", "Meaning"], rows));
  return section;
}

/** The section of one JSON schema. */
function schema(name, { properties = {} }) {
  const rows = Object.entries(properties).map(([key, each]) => [key, describe(each), each.description ?? ""]);
  return make("section", "", "", make("h2", "", name), table(`Keys of ${name}`, ["Key", "Value", "Meaning"], rows));
}

/** Fetch the description of the API and show it. */
async function show() {
  element("back").href = `/${location.hash}`; // the token stays in the link
  const { info, paths, components } = await (await request("/openapi.json")).json();
  element("introduction").textContent = info.description || info.title;
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, details] of Object.entries(methods)) element("operations").append(operation(path, method, details));
  }
  element("operations").append(...Object.entries(components.schemas).map(([name, details]) => schema(name, details)));
}

show().catch((error) => (element("introduction").textContent = error.message));
