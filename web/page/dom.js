// Small helpers for elements. User text gets into the page by `textContent` and by nothing else.

const SVG = "http://www.w3.org/2000/svg";
const HUES = 10;

/** The element of the page with that id. */
export const byId = (id) => document.getElementById(id);

/** A new element; names with a dash, and `role`, become attributes, all others properties. */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children);
  return node;
}

/** One of the symbols that the page defines. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

/** A round picture of a name: its first letter, in a colour of its own. */
export function avatar(name) {
  const [letter] = name;
  return element("span", {
    className: `avatar hue-${hueOf(name)}`,
    textContent: letter.toUpperCase(),
    "aria-hidden": "true",
  });
}

/** Text for screen readers only. */
export function spoken(text) {
  return element("span", { className: "visually-hidden", textContent: text });
}

/** "1 person", "2 people". */
export function counted(count, one, many) {
  return `${count} ${count === 1 ? one : many}`;
}

/**
 * Make `list` show `items` in their order.
 *
 * Elements stay while their key stays and are moved only if they must be, so that focus stays too.
 */
export function showList(list, items, { key, create, update }) {
  const old = new Map([...list.children].map((node) => [node.dataset.key, node]));
  const kept = new Set(items.map(key));
  for (const [name, node] of old) if (!kept.has(name)) node.remove();
  items.forEach((item, index) => {
    const node = old.get(key(item)) ?? create(item);
    node.dataset.key = key(item);
    update?.(node, item);
    if (list.children[index] !== node) list.insertBefore(node, list.children[index] ?? null);
  });
}

// FNV-1a with its bits mixed once more: names that differ little get colours that differ.
function hueOf(name) {
  let hash = 0x811c9dc5;
  for (const character of name) hash = Math.imul(hash ^ character.codePointAt(0), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
  return ((hash ^ (hash >>> 16)) >>> 0) % HUES;
}
