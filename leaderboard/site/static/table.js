// The board: one table for each section, never two sections in one.

const COLUMNS = [
  { key: "rank", head: "#", number: true, title: "Ranks that the data leave open, best to worst", up: true },
  { key: "title", head: "System", up: true },
  { key: "score", head: "Score", number: true },
  { key: "lo", head: "95 % interval", number: true, title: "Of the mean Score, over test patients and seeds" },
  { key: "sp", head: "Sp", number: true },
  { key: "se", head: "Se", number: true },
  { key: "as", head: "AS", number: true, title: "Arithmetic mean of Sp and Se" },
  { key: "hs", head: "HS", number: true, title: "Harmonic mean of Sp and Se" },
  { key: "seeds", head: "Seeds", number: true },
  { key: "optimism", head: "Optimism", number: true, title: `${byId("board").dataset.exact} Score of best-test minus last, all official test cycles` },
  { key: "state", head: "State", up: true, title: "Claimed, recomputed from predictions, rerun, or confirmed by its author's key" },
  { key: "inputs", head: "Inputs", up: true, title: "What it declares to use besides the sound" },
  { key: "date", head: "Date", title: "When its newest run was made" },
];

/** Columns that are shown where a system has something in them. */
const SOMETIMES = {
  state: page.rules.some((rule) => page.byRule[rule].some((found) => found?.state)),
  inputs: page.systems.some((system) => system.inputs),
};

/** What a column sorts by. */
function sortValue(key, place) {
  if (key === "title") return page.systems[place].title.toLowerCase();
  if (key === "seeds") return underRule(place).runs.length;
  if (key === "optimism" || key === "date") return underRule(place)[key];
  if (key === "state") return underRule(place).state ?? null;
  if (key === "inputs") return page.systems[place].inputs || null;
  return lens()[key]?.[place] ?? null;
}

function sorted(places) {
  if (!state.sort) return places;
  const sign = state.down ? -1 : 1;
  const values = new Map(places.map((place) => [place, sortValue(state.sort, place)]));
  return [...places].sort((a, b) => {
    const [x, y] = [values.get(a), values.get(b)];
    if (x === null || y === null) return (x === null) - (y === null);
    return x === y ? 0 : x < y ? -sign : sign;
  });
}

function sortBy(key) {
  const column = COLUMNS.find((one) => one.key === key);
  const down = state.sort === key ? !state.down : !column.up;
  go({ sort: key, down }, true);
}

function columnsOf(section) {
  const { ranked } = page.sections[section];
  const hasMeans = lawOf(page.sections[section]) === "challenge";
  return COLUMNS.filter(({ key }) => (key !== "rank" || ranked) && (!["as", "hs"].includes(key) || hasMeans) && SOMETIMES[key] !== false);
}

function headOf(section) {
  return make("tr", {}, columnsOf(section).map((column) => make("th", { scope: "col", class: column.number ? "number" : null, "data-key": column.key },
    make("button", { type: "button", title: column.title, onclick: () => sortBy(column.key) }, column.head, make("span", { class: "arrow", "aria-hidden": "true" })))));
}

/** The tables without rows; made once, so that the button that was pressed keeps the focus. */
function makeTables() {
  page.sections.forEach((section, place) => {
    const title = `section-${place}`;
    byId("tables").append(make("section", { class: "listing", "data-section": place, "aria-labelledby": title },
      make("h2", { id: title }, section.title, section.ranked ? null : make("span", { class: "mark" }, "not ranked")),
      section.patients_seen ? make("p", { class: "quiet" }, "The patients of this part have recordings in training: its numbers say little of new patients.") : null,
      make("p", { class: "quiet floor", hidden: true }),
      section.simulated ? make("p", { class: "alert" }, "Simulated data prove that the pipeline works, never that a method does.") : null,
      make("div", { class: "scroll", role: "region", "aria-labelledby": title, tabindex: "0" },
        make("table", { class: "board" }, make("thead", {}, headOf(place)), make("tbody"), section.ranked ? referenceOf(place) : null))));
  });
}

function referenceOf(section) {
  const { name, ...rates } = referenceIn(page.sections[section]);
  const values = { title: name, ...Object.fromEntries(Object.entries(rates).map(([rate, value]) => [rate, number(value)])) };
  return make("tfoot", {}, make("tr", {}, columnsOf(section).map((column) => make("td", { class: cellClass(column) }, values[column.key] ?? (column.key === "rank" ? "" : NONE)))));
}

/** What calling every cycle normal gives. */
function referenceIn(section) {
  return section.reference ?? page.reference;
}

function cellClass(column) {
  return [column.number ? "number" : "", `c-${column.key}`].join(" ").trim();
}

/** Marks, each with a sentence that says what it means. */
function markSpans(marks) {
  return marks.flatMap(([word, sentence]) => [" ", make("span", { class: "mark", title: sentence || null }, word)]);
}

function nameOf(place) {
  const system = page.systems[place];
  const ofRow = underRule(place)?.marks ?? [];
  return [
    make("a", { href: address({ system: system.id }) }, system.title),
    markSpans(system.marks),
    system.detail ? make("span", { class: "detail" }, system.detail) : null,
    ofRow.length ? make("div", { class: "marks" }, markSpans(ofRow)) : null,
  ];
}

function seedsOf(place) {
  const { seeds, below } = underRule(place);
  if (!below) return [seeds];
  return [seeds, make("abbr", { title: `No epoch above the least Se: seed ${below}` }, "!")];
}

/** The interval as text over a bar that has one scale for the table; an arrow where it goes on beyond that. */
function intervalOf(row, scale) {
  if (row.lo === null) return [NONE];
  const at = (value) => `${(100 * (within(value, scale) - scale[0])) / (scale[1] - scale[0] || 1)}%`;
  const bar = make("span", { class: "bar", "aria-hidden": "true" }, make("i"), outside(row.score, scale) ? null : make("b"),
    row.lo < scale[0] ? make("span", { class: "before" }, "◀") : null, row.hi > scale[1] ? make("span", { class: "beyond" }, "▶") : null);
  bar.style.setProperty("--lo", at(row.lo));
  bar.style.setProperty("--hi", at(row.hi));
  bar.style.setProperty("--at", at(row.score));
  return [ends(row.lo, row.hi), bar];
}

/** The ranks that the data leave open: "2–7", or one. */
function ranks(row) {
  if (!row.ranks) return row.rank ?? "";
  const [best, worst] = row.ranks;
  return best === worst ? `${best}` : `${best}–${worst}`;
}

function scaleOf(places) {
  const { lo, hi } = lens();
  const known = places.filter((place) => lo[place] !== null).flatMap((place) => [lo[place], hi[place]]);
  return known.length ? robustDomain(known, 0) : [0, 100];
}

function cellsOf(place, scale) {
  const row = rowOf(place) ?? { rank: null, sp: null, se: null, score: null, lo: null };
  return {
    rank: [ranks(row)],
    title: nameOf(place),
    seeds: seedsOf(place),
    sp: spread(row.sp, row.sp_std),
    se: spread(row.se, row.se_std),
    as: spread(row.as, row.as_std),
    hs: spread(row.hs, row.hs_std),
    score: spread(row.score, row.score_std),
    lo: intervalOf(row, scale),
    optimism: [signed(underRule(place).optimism)],
    state: [underRule(place).state ?? NONE],
    inputs: [page.systems[place].inputs || NONE],
    date: [underRule(place).date],
  };
}

function fillTable(section) {
  const places = placesOf(Number(section.dataset.section));
  section.hidden = !places.length;
  const floor = page.floors[`${state.rule}/${state.part}/${state.judged}`][section.dataset.section];
  section.querySelector(".floor").hidden = floor === null;
  section.querySelector(".floor").textContent = floor === null ? "" : `This test part shows differences of ${number(floor, 1)} points and more between systems of five seeds.`;
  const scale = scaleOf(places);
  const columns = columnsOf(Number(section.dataset.section));
  const rows = sorted(places).map((place) => {
    const shown = cellsOf(place, scale);
    return make("tr", { "data-id": page.systems[place].id }, columns.map((column) => make("td", { class: cellClass(column) }, shown[column.key])));
  });
  section.querySelector("tbody").replaceChildren(...rows);
  for (const head of section.querySelectorAll("th")) {
    const direction = head.dataset.key === state.sort ? (state.down ? "descending" : "ascending") : "none";
    head.setAttribute("aria-sort", direction);
  }
  return places.length;
}

function fillTables() {
  const shown = [...document.querySelectorAll("#tables > section")].map(fillTable).reduce((sum, count) => sum + count, 0);
  const all = page.systems.filter((_, place) => underRule(place)).length;
  byId("count").textContent = `${shown} of ${all} ${all === 1 ? "system" : "systems"}`;
  byId("nothing").hidden = shown > 0;
  byId("nothing").textContent = !page.systems.length ? "The board is empty." :
    all ? "No system matches these filters." : `No run has numbers under ${state.rule}.`;
  byId("notes").replaceChildren(...page.notes[state.rule].map((note) => make("li", {}, note)));
}
