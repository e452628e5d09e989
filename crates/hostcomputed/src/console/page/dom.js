// Elements: making them, and changing only what differs. Text is always set as text, never read as markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** An HTML element; functions among the attributes listen to the event of that name. */
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** An SVG element. */
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

/** Sets the text of a node if it is another. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Sets or removes an attribute if it is another. */
export function setAttribute(node, name, value) {
  const next = value === undefined || value === null || value === false ? null : value === true ? "" : String(value);
  if (node.getAttribute(name) === next) return;
  if (next === null) node.removeAttribute(name);
  else node.setAttribute(name, next);
}

/**
 * Makes the children of `parent` agree with `items`: known ones are kept and updated, new ones made, others removed, and nodes move
 * only where the order changed.
 */
export function keyed(parent, items, key, create, update) {
  const known = (parent.keyed ??= new Map());
  const wanted = new Set();
  const nodes = items.map((item) => {
    const id = key(item);
    wanted.add(id);
    let node = known.get(id);
    if (!node) known.set(id, (node = create(item)));
    update?.(node, item);
    return node;
  });
  for (const [id, node] of known) {
    if (!wanted.has(id)) {
      node.remove();
      known.delete(id);
    }
  }
  let after = null;
  for (let place = nodes.length - 1; place >= 0; place--) {
    const node = nodes[place];
    if (node.parentNode !== parent || node.nextSibling !== after) parent.insertBefore(node, after);
    after = node;
  }
}

/** Small labels in a row: texts, each with a class. */
export function chips(parent, labels) {
  keyed(
    parent,
    labels.map((label) => (typeof label === "string" ? { text: label } : label)),
    (label) => `${label.class ?? ""} ${label.text}`,
    (label) => el("span", { class: `chip ${label.class ?? ""}`, title: label.title }, label.text),
  );
}

/** Copies a text; says whether that worked. */
export async function copy(text, shown) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Browsers keep the clipboard from pages of plain HTTP that are not on this machine: mark it, so that Ctrl+C does it.
    getSelection().selectAllChildren(shown);
    return false;
  }
}
