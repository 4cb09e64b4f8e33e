// What is chosen, and what follows from it. The choice stands in the address, so that it can be kept and sent.

const SWITCHES = { rule: page.rules, part: page.parts, judged: page.judged };
const FIRST = { rule: page.start, part: page.parts[0], judged: page.judged[0] };
const FILTERS = ["text", "data", "model", "method", "pretrain"];

const MEANING = {
  last: "the last epoch of each run",
  "best-test": "the epoch with the best Score on the test part (flatters; the field's habit)",
  "best-val": "the epoch with the best Score on held-out training patients",
  official: "all official test cycles",
  "patient-disjoint": "test cycles of patients who were not trained on",
  "4class": "Se asks for the exact abnormal class",
  "2class": "Se counts any abnormal class as a hit",
};

const FIRST_DATA = byId("board").dataset.subject;

const PLACES = ["view", "system", "a", "b", "sort"];
const VIEWS = ["compare", "missed"];

const state = { ...FIRST, view: "", system: "", a: "", b: "", text: "", data: "", model: "", method: "", pretrain: "", sort: "", down: false };

function readAddress() {
  const words = new URLSearchParams(location.hash.slice(1));
  for (const [name, known] of Object.entries(SWITCHES)) {
    state[name] = known.includes(words.get(name)) ? words.get(name) : FIRST[name];
  }
  for (const name of [...PLACES, ...FILTERS]) state[name] = words.get(name) ?? "";
  if (!VIEWS.includes(state.view)) state.view = "";
  state.down = words.get("down") === "1";
}

/** The address of the present choice with some changes. */
function address(changes = {}) {
  const chosen = { ...state, ...changes };
  const words = new URLSearchParams();
  for (const name of Object.keys(SWITCHES)) if (chosen[name] !== FIRST[name]) words.set(name, chosen[name]);
  for (const name of [...PLACES, ...FILTERS]) if (chosen[name]) words.set(name, chosen[name]);
  if (chosen.down) words.set("down", "1");
  return `#${words}`;
}

function lens() {
  return page.lenses[`${state.rule}/${state.part}/${state.judged}`];
}

function cells() {
  return page.cells[`${state.rule}/${state.part}`];
}

/** A system's row under a lens, or null where it has no numbers there. */
function rowOf(place, from = lens()) {
  if (from.score[place] === null) return null;
  const row = { place };
  for (const [name, values] of Object.entries(from)) row[name] = values[place];
  return row;
}

/** The place of the system with an id; -1 where there is none. */
function placeOf(id) {
  return page.systems.findIndex((system) => system.id === id);
}

function underRule(place, rule = state.rule) {
  return page.byRule[rule][place];
}

/** What the search looks into: the names and marks of a system, and the options that tell it from others. */
const HAYSTACKS = page.systems.map((system) => [system.title, system.detail, system.model, system.method, system.pretrain, system.id, system.inputs, ...system.marks.map(([word]) => word)].join(" ").toLowerCase());

/** Whether sections of another data set or task than the four classes of the first one are on the page. */
const HAS_TASKS = page.sections.some((section) => section.task);

/** The data set and task of a section in words. */
function dataOf(section) {
  return page.sections[section].data ?? FIRST_DATA;
}

function sectionOf(place) {
  return page.sections[page.systems[place].section];
}

function classesOf(place) {
  return sectionOf(place).classes ?? page.classes;
}

/** How the Score of a section follows from Sp and Se: their mean, or the mean of AS and HS (`challenge`). */
function lawOf(section) {
  return section.law ?? "mean";
}

/** The name of a sensitivity in a section: a task of two classes has one for both choices of the switch. */
function judgedIn(section, judged) {
  const known = section.judged ?? page.judged;
  return known[Math.min(page.judged.indexOf(judged), known.length - 1)];
}

function passes(place) {
  const system = page.systems[place];
  if (state.data && dataOf(system.section) !== state.data) return false;
  const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  return words.every((word) => HAYSTACKS[place].includes(word)) &&
    ["model", "method", "pretrain"].every((name) => !state[name] || system[name] === state[name]);
}

/** Places of the systems of a section that have a run under the rule and pass the filters, the best Score first. */
function placesOf(section) {
  const { order } = lens();
  const found = [];
  page.systems.forEach((system, place) => {
    if (system.section === section && underRule(place) && passes(place)) found.push(place);
  });
  return found.sort((a, b) => (order[a] ?? Infinity) - (order[b] ?? Infinity) || a - b);
}
