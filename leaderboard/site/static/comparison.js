// Two systems on the same cycles: the paired difference with its interval, class by class, patient by patient.

/** Systems that can be compared with others: those of a section whose correct cycles of each patient are here. */
function comparable() {
  return page.systems.map((_, place) => place).filter((place) => countsOf(place));
}

/** Why two systems cannot be compared; null where they can. */
function hindrance(a, b) {
  if (a < 0 || b < 0) return "Choose two systems.";
  if (a === b) return "A and B are one system.";
  if (page.systems[a].section !== page.systems[b].section) return `A was run on “${page.sections[page.systems[a].section].title}”, B on “${page.sections[page.systems[b].section].title}”: their Scores cannot be compared.`;
  const [ofA, ofB] = [countsOf(a), countsOf(b)];
  if (!ofA || !ofB) return unknownCounts();
  return ofA.set === ofB.set ? null : "A and B were judged on different cycles.";
}

/** The answer in plain words, as `bench board compare` gives it. */
function verdict(found, a, b) {
  const { score } = found;
  if (score.error <= ZERO) return `${a} and ${b} differ by ${number(score.value)} points of Score, for every patient alike: there is no interval.`;
  if (score.value < 0 && !(score.lo <= ZERO && score.hi >= -ZERO)) return verdict({ ...found, score: { ...score, value: -score.value, lo: -score.hi, hi: -score.lo } }, b, a);
  const interval = `95 % interval ${number(score.lo)} to ${number(score.hi)} over patients${found.coversSeeds ? " and seeds" : ""}`;
  const ofRuns = found.coversSeeds ? "" : " This is said of these runs, not of the methods: other seeds may differ.";
  if (score.lo <= ZERO && score.hi >= -ZERO) return `The data do not tell ${a} from ${b}: the difference of ${number(score.value)} points (${interval}) may be none.${ofRuns}`;
  return `${a} is better than ${b} by ${number(score.value)} points of Score (${interval}).${ofRuns}`;
}

function fillChoiceOf(select, places, chosen) {
  select.replaceChildren(make("option", { value: "" }, "–"), ...page.sections.map((section, number) => {
    const mine = places.filter((place) => page.systems[place].section === number);
    return mine.length ? make("optgroup", { label: section.title }, mine.map((place) => make("option", { value: page.systems[place].id, selected: place === chosen }, page.systems[place].label))) : null;
  }).filter(Boolean));
  if (chosen < 0) select.value = "";
}

function fillComparison() {
  const [a, b] = [placeOf(state.a), placeOf(state.b)];
  const places = comparable();
  for (const [name, chosen] of [["a", a], ["b", b]]) fillChoiceOf(byId("pair").elements[name], chosen >= 0 && !places.includes(chosen) ? [...places, chosen] : places, chosen);
  const why = hindrance(a, b);
  byId("compared").hidden = why !== null;
  byId("verdict").textContent = why ?? "";
  if (why !== null) return;
  const sides = [countsOf(a), countsOf(b)];
  const pooled = page.spreads[state.rule][page.systems[a].section][state.judged];
  const found = pairedDifference(...sides, pooled);
  byId("verdict").textContent = verdict(found, `A (${page.systems[a].label})`, `B (${page.systems[b].label})`);
  byId("covers").textContent = `${sides[0].patients.length} patients; ${sides.map((side) => side.bySeed.length).join(" and ")} seeds. ${sides.some((side) => side.bySeed.length === 1) && pooled ? `A single seed is given the spread of ${pooled.source} (Score ± ${number(pooled.score)}). ` : ""}How far the data favour A: ${number(100 * found.favoursA, 1)} % (50 % says neither; it is no p-value).`;
  fillDifferences(a, b, found);
  fillClassDifferences(a, b);
  fillConfusionDifference(a, b);
  drawPatientDifferences(...sides);
}

function fillDifferences(a, b, found) {
  const [ofA, ofB] = [rowOf(a), rowOf(b)];
  fillTableOf("differences", ["", "A", "B", "A − B", "95 % interval"], [["Sp", "sp"], ["Se", "se"], ["Score", "score"]].map(([name, key]) => [
    name, number(ofA[key]), number(ofB[key]), signed(found[key].value), found[key].error <= ZERO ? NONE : `${signed(found[key].lo)} to ${signed(found[key].hi)}`,
  ]), 1);
}

/** Recall of each class from the confusion matrices; the counts are sums over seeds. */
function recallsOf(place) {
  return cells().confusion[place].map((row, i) => (sum(row) ? (100 * row[i]) / sum(row) : null));
}

function fillClassDifferences(a, b) {
  const [ofA, ofB] = [recallsOf(a), recallsOf(b)];
  fillTableOf("class-differences", ["Class", "A", "B", "A − B"], classesOf(a).map((name, i) => [
    name, number(ofA[i]), number(ofB[i]), ofA[i] === null ? NONE : signed(ofA[i] - ofB[i]),
  ]), 1);
}

function fillConfusionDifference(a, b) {
  const [ofA, ofB] = [a, b].map((place) => cells().confusion[place].map((row) => row.map((count) => (sum(row) ? (100 * count) / sum(row) : null))));
  const head = make("tr", {}, make("td", {}), classesOf(a).map((name) => make("th", { scope: "col" }, `as ${name}`)));
  const rows = classesOf(a).map((name, i) => make("tr", {}, make("th", { scope: "row" }, name), ofA[i].map((share, j) => {
    const difference = share === null ? null : share - ofB[i][j];
    const cell = make("td", { class: i === j ? "hit" : null }, make("b", {}, difference === null ? NONE : signed(difference)), make("span", {}, `${number(share, 1)} − ${number(ofB[i][j], 1)}`));
    cell.style.setProperty("--share", `${Math.min(100, 4 * Math.abs(difference ?? 0))}%`);
    cell.classList.toggle("less", (difference ?? 0) < 0);
    return cell;
  })));
  byId("confusion-difference").replaceChildren(make("thead", {}, head), make("tbody", {}, rows));
}

function drawPatientDifferences(a, b) {
  const [ofA, ofB] = [patientRows(a), patientRows(b)];
  const rows = ofA.map((row, p) => ({ patient: row.patient, cycles: row.cycles, a: row.rate, b: ofB[p].rate, difference: row.rate - ofB[p].rate, leverage: row.leverage - ofB[p].leverage }))
    .sort((one, other) => other.difference - one.difference || d3.ascending(one.patient, other.patient));
  const words = (row) => `patient ${row.patient}, ${row.cycles} cycles\nA ${number(row.a, 1)} %, B ${number(row.b, 1)} % right\n${signed(row.difference)} points; ${signed(row.leverage)} of the Score's difference`;
  const at = new Map(rows.map((row, i) => [row, i]));
  const [better, worse] = [rows.filter((row) => row.difference > ZERO).length, rows.filter((row) => row.difference < -ZERO).length];
  byId("patient-differences-words").textContent = `A is right more often for ${better} patients, B for ${worse}, neither for ${rows.length - better - worse}. Bars: the share of a patient's cycles that is right, A minus B.`;
  draw("patient-differences", "Share of right cycles of each patient, A minus B", (width) => ({
    height: 260, marginLeft: 46, marginBottom: 40, marginTop: 20,
    x: { type: "band", domain: rows.map((_, i) => i), label: "patients, A's best first", labelAnchor: "center", ticks: [], padding: 0.15 },
    y: { label: "A − B (points)", grid: true, nice: true, ticks: 5 },
    color: { type: "identity" },
    marks: [
      Plot.barY(rows, { x: (row) => at.get(row), y: "difference", fill: (row) => (row.difference < 0 ? PALETTE[1] : PALETTE[0]), className: "bars" }),
      Plot.ruleY([0], { stroke: "currentColor" }),
      Plot.tip(rows, Plot.pointerX({ x: (row) => at.get(row), y: "difference", title: words, fill: "var(--raised)", stroke: "var(--line)" })),
    ],
  }));
  walkable("patient-differences", rows, null, words);
  fillTableOf("patient-differences-table", ["Patient", "Cycles", "A (%)", "B (%)", "A − B", "Of the Score's difference"], rows.map((row) => [
    row.patient, row.cycles, number(row.a), number(row.b), signed(row.difference), signed(row.leverage),
  ]), 1);
}
