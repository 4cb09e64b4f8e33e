// Elements and numbers. Text only ever enters the page as text: a name can hold no markup.

const page = JSON.parse(document.getElementById("values").textContent);

const NONE = "–";

function byId(id) {
  return document.getElementById(id);
}

/** An element with attributes (`class`, `data-…`, or a listener under `onclick`) and children, strings as text. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined).map((child) => child instanceof Node ? child : String(child)));
  return element;
}

function number(value, digits = 2) {
  return value === null || value === undefined ? NONE : value.toFixed(digits);
}

function signed(value) {
  return value === null ? NONE : (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);
}

/** A mean with its deviation, which stands apart so that columns of means line up. */
function spread(mean, std) {
  if (mean === null || mean === undefined) return [NONE];
  return std === null ? [number(mean)] : [number(mean), make("span", { class: "std" }, ` ± ${number(std)}`)];
}

function ends(lo, hi) {
  return lo === null || lo === undefined ? NONE : `${number(lo, 1)}–${number(hi, 1)}`;
}

/** A text of at most so many letters, cut in its middle: what tells two texts apart stands at their ends. */
function shortened(text, most) {
  const half = Math.floor((most - 1) / 2);
  return text.length > most ? `${text.slice(0, most - 1 - half)}…${text.slice(-half)}` : text;
}
