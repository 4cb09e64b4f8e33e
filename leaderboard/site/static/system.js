// One system: its numbers under every choice, its confusion matrix, its runs with provenance and commands.

function pairs(list, entries) {
  list.replaceChildren(...entries.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

function factsOf(places) {
  return places.map((place) => page.facts[place]);
}

function tableRow(tag, values, words = 1) {
  return make("tr", {}, values.map((value, i) => make(tag, { class: i < words ? null : "number", scope: tag === "th" ? "col" : null }, value)));
}

function fillTableOf(id, heads, rows, words) {
  byId(id).replaceChildren(make("thead", {}, tableRow("th", heads, words)), make("tbody", {}, rows.map((row) => tableRow("td", row, words))));
}

function fillFacts(place, row) {
  const found = underRule(place);
  const ranked = page.sections[page.systems[place].section].ranked;
  pairs(byId("system-facts"), [
    ["Score", row ? spread(row.score, row.score_std) : NONE],
    ["95 % interval", row ? ends(row.lo, row.hi) : NONE],
    ["Rank", ranked ? (row && ranks(row)) || NONE : "not ranked"],
    ["Sp", row ? spread(row.sp, row.sp_std) : NONE],
    ["Se", row ? spread(row.se, row.se_std) : NONE],
    ...(lawOf(sectionOf(place)) === "challenge" ? [["AS", row ? spread(row.as, row.as_std) : NONE], ["HS", row ? spread(row.hs, row.hs_std) : NONE]] : []),
    ["Optimism", signed(found?.optimism ?? null)],
    ["Seeds", found?.seeds ?? NONE],
    ...(found?.state ? [["State", found.state]] : []),
    ...(page.systems[place].inputs ? [["Inputs", page.systems[place].inputs]] : []),
    ["Date", found?.date ?? NONE],
    ["Cycles", row ? `${row.cycles}${row.patients === null ? "" : ` of ${row.patients} patients`}` : NONE],
  ]);
}

function fillLenses(place) {
  const section = sectionOf(place);
  const judgedOnce = page.judged.slice(0, (section.judged ?? page.judged).length);
  const rows = page.rules.flatMap((rule) => page.parts.flatMap((part) => judgedOnce.map((judged) => {
    const row = rowOf(place, page.lenses[`${rule}/${part}/${judged}`]);
    return row && [rule, part, judgedIn(section, judged).replace("class", "-class"), spread(row.sp, row.sp_std), spread(row.se, row.se_std), spread(row.score, row.score_std), ends(row.lo, row.hi)];
  }))).filter(Boolean);
  fillTableOf("lenses", ["Rule", "Patients", "Se", "Sp", "Se", "Score", "95 % interval"], rows, 3);
}

function fillSeeds(place, row) {
  const found = underRule(place);
  const rows = row ? row.bySeed.map(([sp, se, score], i) => {
    const run = page.runs[found.runs[i]];
    return [make("code", {}, run.id), run.seed, found.epochs[i] ?? NONE, number(sp), number(se), number(score)];
  }) : [];
  fillTableOf("seeds", ["Run", "Seed", "Epoch", "Sp", "Se", "Score"], rows, 1);
}

function fillConfusion(place) {
  const counts = cells().confusion[place];
  const shares = counts?.map((row) => row.map((count) => (sum(row) ? (100 * count) / sum(row) : null)));
  const seeds = underRule(place)?.runs.length ?? 0;
  byId("confusion-words").textContent = counts ?
    `Percent of each true class${seeds > 1 ? `; cycles summed over ${seeds} seeds` : ""}.` : "Not known under this choice.";
  if (!counts) {
    byId("confusion").replaceChildren();
    return;
  }
  const head = make("tr", {}, make("td", {}), classesOf(place).map((name) => make("th", { scope: "col" }, `as ${name}`)));
  const rows = classesOf(place).map((name, i) => make("tr", {}, make("th", { scope: "row" }, name), counts[i].map((count, j) => {
    const share = shares[i][j];
    const cell = make("td", { class: i === j ? "hit" : null }, make("b", {}, share === null ? NONE : `${number(share, 1)} %`), make("span", {}, count));
    cell.style.setProperty("--share", `${share ?? 0}%`);
    return cell;
  })));
  byId("confusion").replaceChildren(make("thead", {}, head), make("tbody", {}, rows));
}

async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "copied";
  } catch {
    getSelection().selectAllChildren(button.parentElement.querySelector("code"));
    button.textContent = "selected: copy it";
  }
}

/** The BibTeX entry of a row, to be copied. */
function citation(entry) {
  return make("details", { class: "citation" }, make("summary", {}, "BibTeX"),
    make("div", { class: "command" }, make("pre", { tabindex: "0" }, make("code", {}, entry)),
      make("button", { type: "button", onclick: (event) => copy(event.currentTarget, entry) }, "copy")));
}

function commandOf(run) {
  if (!run.command) return [make("p", {}, "Submitted from outside by its predictions: there is no command of this program that made it.")];
  return [
    make("div", { class: "command" }, make("code", { tabindex: "0" }, run.command),
      make("button", { type: "button", onclick: (event) => copy(event.currentTarget, run.command) }, "copy")),
    make("p", { class: "quiet" }, "Replays the run from the folder of this page; ", make("code", {}, "--data DIR"), " where the recordings are elsewhere. ",
      make("a", { href: run.file, download: true }, "spec and provenance (JSON)")),
  ];
}

function fillRuns(place) {
  const every = [...new Set(page.rules.flatMap((rule) => underRule(place, rule)?.runs ?? []))];
  byId("runs").replaceChildren(...every.map((known, i) => {
    const run = page.runs[known];
    const list = make("dl", { class: "pairs" });
    pairs(list, factsOf(run.facts));
    return make("details", { open: i === 0 }, make("summary", {}, `Seed ${run.seed}, run `, make("code", {}, run.id)), commandOf(run), list);
  }));
}

function fillSystem(place) {
  const system = page.systems[place];
  const row = rowOf(place);
  byId("system-title").replaceChildren(system.title, ...markSpans(system.marks));
  byId("system-marks").replaceChildren(...(underRule(place)?.marks ?? []).map(([word, sentence]) => make("li", {}, make("span", { class: "mark" }, word), ` ${sentence}`)));
  byId("system-detail").textContent = [page.sections[system.section].title, system.detail].filter(Boolean).join(" · ");
  byId("back").href = address({ system: "" });
  byId("compare-with").href = address({ system: "", view: "compare", a: system.id, b: "" });
  byId("cite").replaceChildren(citation(system.bibtex));
  fillFacts(place, row);
  fillLenses(place);
  fillSeeds(place, row);
  fillConfusion(place);
  drawClasses(place);
  drawDevices(place);
  drawPatients(place);
  drawThresholds(place);
  drawReliability(place);
  drawCurves(place);
  fillRuns(place);
  pairs(byId("spec"), factsOf(system.spec));
}
