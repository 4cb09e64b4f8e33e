// Figures, drawn by Observable Plot. Colours are the style sheet's, so that they follow light and dark.

const MOST_SHOWN = 40;
const PALETTE = ["var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)", "var(--c6)", "var(--c7)"];
const OTHER = "var(--quiet)";
const SYMBOLS = ["circle", "triangle", "square", "diamond", "star", "wye", "cross"];
const RATES = [["Sp", "sp", PALETTE[0]], ["Se", "se", PALETTE[1]], ["Score", "score", PALETTE[2]]];

/** Draw into a place as wide as it is; a figure without data says so. */
function draw(id, label, options) {
  const place = byId(id);
  if (!options) {
    place.replaceChildren(make("p", { class: "quiet" }, "Nothing to show under this choice."));
    return;
  }
  const width = Math.max(280, Math.floor(place.clientWidth));
  const figure = Plot.plot({ width, style: { background: "none", fontFamily: "inherit", fontSize: "12px", overflow: "hidden" }, ariaLabel: label, ...options(width) });
  figure.setAttribute("role", "img");
  place.replaceChildren(figure);
}

function legend(id, entries) {
  byId(id).replaceChildren(...entries.map(([label, colour, symbol]) => {
    const size = 60;
    const shape = d3.symbol(d3[`symbol${symbol[0].toUpperCase()}${symbol.slice(1)}`], size)();
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    for (const [name, value] of Object.entries({ width: 12, height: 12, viewBox: "-6 -6 12 12", "aria-hidden": "true" })) svg.setAttribute(name, value);
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", shape);
    path.style.fill = colour;
    if (symbol === "asterisk") path.style.stroke = colour; // it has no area to fill
    svg.append(path);
    return make("span", {}, svg, label);
  }));
}

/** A colour and a symbol for each method, the most frequent first; those beyond the palette share one. */
function stylesOf(places) {
  const counts = d3.rollup(places, (group) => group.length, (place) => page.systems[place].method);
  const methods = [...counts].sort((a, b) => b[1] - a[1] || d3.ascending(a[0], b[0])).map(([method]) => method);
  const most = methods.length > PALETTE.length ? PALETTE.length - 1 : PALETTE.length;
  const entries = methods.slice(0, most).map((method, i) => [method, PALETTE[i], SYMBOLS[i]]);
  const known = new Map(entries.map((entry) => [entry[0], entry]));
  const rest = methods.length > most ? [["other methods", OTHER, "circle"]] : [];
  return { entries: [...entries, ...rest], of: (place) => known.get(page.systems[place].method) ?? rest[0] };
}

/** Lines of equal Score within a frame: where the Score is the mean, Sp + Se = 2 Score; otherwise in short pieces. */
function isoLines(x, y, law) {
  return d3.range(5, 100, 5).flatMap((score) => {
    if (law !== "mean") return isoPieces(score, x, y, law);
    const from = Math.max(x[0], 2 * score - y[1]);
    const to = Math.min(x[1], 2 * score - y[0]);
    return from < to ? [{ score, named: true, x1: from, y1: 2 * score - from, x2: to, y2: 2 * score - to }] : [];
  });
}

function isoPieces(score, x, y, law) {
  const points = d3.range(51).map((i) => x[0] + (i * (x[1] - x[0])) / 50).map((sp) => [sp, seOf(score, sp, law)])
    .filter(([, se]) => se !== null && se >= y[0] && se <= y[1]);
  return d3.pairs(points).map(([[x1, y1], [x2, y2]], i) => ({ score, named: i === 0, x1, y1, x2, y2 }));
}

/** The Se that gives a Score beside an Sp, by halving: the Score grows with Se. Null where none does. */
function seOf(score, sp, law) {
  if (scoreOf(sp, 0, law) > score || scoreOf(sp, 100, law) < score) return null;
  let [lo, hi] = [0, 100];
  for (let i = 0; i < 40; i += 1) {
    const middle = (lo + hi) / 2;
    if (scoreOf(sp, middle, law) < score) lo = middle;
    else hi = middle;
  }
  return (lo + hi) / 2;
}

/** Printed systems, as points to compare with; they are of the whole test part. */
function printedPoints(section) {
  if (!byId("show-printed").checked || state.part !== "official") return [];
  const of = ["dataset", "task", "part"];
  return page.printed.filter((system) => of.every((name) => (system[name] ?? null) === (section[name] ?? null)) &&
    judgedIn(section, system.judged) === judgedIn(section, state.judged));
}

function pointWords(point) {
  const name = point.name ? `${point.name} (printed: ${point.what})` : page.systems[point.place].label + (point.seed === undefined ? "" : `, seed ${point.seed}`);
  return `${name}\nSp ${number(point.sp)}  Se ${number(point.se)}\nScore ${number(point.score)}`;
}

function drawPlane(places) {
  const section = sectionOf(places[0]);
  const reference = referenceIn(section);
  const rows = places.map((place) => rowOf(place)).filter(Boolean);
  const styles = stylesOf(rows.map((row) => row.place));
  const printed = printedPoints(section);
  legend("plane-legend", [...styles.entries, ...(printed.length ? [["as printed elsewhere", OTHER, "asterisk"]] : [])]);
  const seeds = rows.flatMap((row) => row.bySeed.map(([sp, se, score], i) => ({ ...row, sp, se, score, seed: page.runs[underRule(row.place).runs[i]].seed })));
  const look = { fill: (row) => styles.of(row.place)[1], symbol: (row) => styles.of(row.place)[2] };
  const every = [...rows, ...seeds, ...printed];
  let place = null;
  draw("plane", "Specificity and sensitivity of each system and seed", rows.length && ((width) => {
    // The printed ones must not push the board's own out of the frame.
    const kinds = [[...rows, ...seeds], printed].filter((points) => points.length);
    const lowest = d3.min(kinds, (points) => robustDomain(points.map((point) => point.sp), 4)[0]);
    const highest = d3.max(kinds, (points) => robustDomain(points.map((point) => point.se), 4)[1]);
    const x = [Math.max(0, Math.floor(lowest / 5) * 5), 102];
    const y = [-2, Math.min(102, Math.ceil(highest / 5) * 5)];
    const lines = isoLines([x[0], 100], [0, Math.min(100, y[1])], lawOf(section));
    place = { x: (point) => within(point.sp, x), y: (point) => within(point.se, y) };
    const beyond = every.filter((point) => outside(point.sp, x) || outside(point.se, y));
    return {
      height: Math.min(460, Math.max(320, width * 0.72)), marginLeft: 46, marginBottom: 42, marginTop: 24, marginRight: 16,
      x: { domain: x, label: "Sp (%)", labelAnchor: "center", ticks: 6, nice: false },
      y: { domain: y, label: "Se (%)", ticks: 6 },
      color: { type: "identity" }, symbol: { type: "identity" },
      marks: [
        Plot.link(lines, { x1: "x1", y1: "y1", x2: "x2", y2: "y2", stroke: "var(--line)", strokeWidth: 1 }),
        Plot.text(lines.filter((line) => line.named), { x: "x1", y: "y1", text: (line) => `${line.score}`, fill: "var(--quiet)", fontSize: 11, dx: 12, dy: 0 }),
        Plot.dot(printed, { ...place, symbol: "asterisk", stroke: OTHER, r: 4.5 }),
        Plot.dot(seeds, { ...place, r: 2.5, fillOpacity: 0.45, ...look }),
        Plot.dot(rows, { ...place, r: 5.5, stroke: "var(--ground)", strokeWidth: 1.2, ...look }),
        Plot.text(beyond.filter((point) => outside(point.sp, x)), { ...place, text: () => "◀", fill: "currentColor", fontSize: 12, dx: -10 }),
        Plot.text(beyond.filter((point) => outside(point.se, y)), { ...place, text: () => "▲", fill: "currentColor", fontSize: 12, dy: -11 }),
        Plot.dot([reference], { x: "sp", y: "se", symbol: "times", stroke: "currentColor", strokeWidth: 2, r: 5 }),
        Plot.text([reference], { x: "sp", y: "se", text: () => "all normal", textAnchor: "end", dx: -9, dy: -9, fill: "currentColor" }),
        Plot.tip(every, Plot.pointer({ ...place, title: pointWords, fill: "var(--raised)", stroke: "var(--line)" })),
      ],
    };
  }));
  const beyond = place ? every.filter((point) => place.x(point) !== point.sp || place.y(point) !== point.se).length : 0;
  byId("plane-words").textContent = beyond ? `Arrows at the edge: ${beyond === 1 ? "a point" : `${beyond} points`} beyond it.` : "";
  if (place) walkable("plane", [...rows, ...printed], placer("plane", place.x, place.y), pointWords);
  fillPrinted(printed);
}

function fillPrinted(printed) {
  byId("printed").hidden = !printed.length;
  byId("printed-words").textContent = state.part === "official" ? "" : "Printed numbers are of the whole test part.";
  fillTableOf("printed-table", ["System", "Sp", "Se", "Score", "Doubts", "Source"], [...printed].sort((a, b) => b.score - a.score).map((system) => [
    [make("b", {}, system.name), make("span", { class: "detail" }, system.what)], number(system.sp), number(system.se), number(system.score),
    make("span", { class: "detail" }, system.doubts.join("; ") || NONE),
    [system.sources.map((source) => make("div", {}, linked(source))), citation(system.bibtex)],
  ]), 1);
}

/** Text with its addresses as links. */
function linked(text) {
  return text.split(/(https?:\/\/[^\s,;)]+)/).map((part, i) => (i % 2 ? make("a", { href: part, rel: "noreferrer" }, part) : part));
}

/** What a system is called beside a figure: its title, and below it what tells it from others of that title. */
function figureLabels(rows, most) {
  const texts = rows.map(({ place }) => {
    const { title, label } = page.systems[place];
    const telling = label.slice(title.length + 2);
    return shortened(title, most) + (telling ? `\n${shortened(telling, most + 6)}` : "");
  });
  const count = d3.rollup(texts, (group) => group.length, (text) => text);
  return texts.map((text, i) => (count.get(text) > 1 ? `${text} (${page.systems[rows[i].place].id.slice(0, 6)})` : text));
}

function drawForest(places) {
  const known = places.map((place) => rowOf(place)).filter((row) => row && row.lo !== null);
  const rows = known.slice(0, MOST_SHOWN);
  const ranked = rows.some((row) => row.rank !== null);
  const domain = rows.length ? robustDomain(rows.flatMap((row) => [row.lo, row.hi]), 1) : null;
  const cut = rows.filter((row) => outside(row.lo, domain) || outside(row.hi, domain));
  byId("forest-words").textContent = [
    ranked ? "Before each name: the ranks that the data leave open." : "These systems are not ranked.",
    known.length > rows.length ? `The first ${rows.length} of ${known.length} systems; filter the board for others.` : "",
    cut.length ? "Arrows at the edge: an interval goes on beyond it." : "",
  ].join(" ");
  const words = (row) => `${page.systems[row.place].label}\nScore ${number(row.score)} (${ends(row.lo, row.hi)})`;
  const at = new Map(rows.map((row, i) => [row, i]));
  const place = (row) => at.get(row);
  draw("forest", "Score of each system with its 95 % interval", rows.length && ((width) => {
    const narrow = width < 520;
    const names = figureLabels(rows, narrow ? 44 : 30);
    const label = (row) => `${row.rank === null ? "" : `${ranks(row)}  `}${narrow ? names[place(row)].replace("\n", ", ") : names[place(row)]}`;
    const step = narrow ? 34 : names.some((name) => name.includes("\n")) ? 36 : 24;
    const lift = narrow ? 5 : 0;
    const arrows = (which, text, anchor) => Plot.text(rows.filter(which), { x: () => domain[anchor === "start" ? 0 : 1], y: place, text: () => text, textAnchor: anchor, fill: "var(--c1)", fontSize: 13, dy: lift });
    return {
      height: rows.length * step + 56, marginLeft: narrow ? 12 : 264, marginRight: 14, marginTop: 44, marginBottom: 12,
      x: { domain, label: "Score (%)", grid: true, axis: "top", ticks: narrow ? 5 : 7, labelAnchor: "right" },
      y: { type: "linear", domain: [rows.length - 0.5, -0.5], axis: null },
      marks: [
        Plot.link(rows.filter((row) => row.hi > domain[0] && row.lo < domain[1]), { x1: (row) => within(row.lo, domain), x2: (row) => within(row.hi, domain), y1: place, y2: place, stroke: "var(--c1)", strokeWidth: 2, dy: lift }),
        Plot.dot(rows.filter((row) => !outside(row.score, domain)), { x: "score", y: place, r: 4, fill: "var(--c1)", dy: lift }),
        arrows((row) => row.lo < domain[0], "◀", "start"),
        arrows((row) => row.hi > domain[1], "▶", "end"),
        Plot.text(rows, { frameAnchor: "left", y: place, text: label, textAnchor: narrow ? "start" : "end", dx: narrow ? 2 : -8, dy: narrow ? -9 : 0, fill: "currentColor", fontSize: 12 }),
        Plot.tip(rows, Plot.pointerY({ x: (row) => within(row.score, domain), y: place, title: words, fill: "var(--raised)", stroke: "var(--line)" })),
      ],
    };
  }));
  if (rows.length) walkable("forest", rows, placer("forest", (row) => within(row.score, domain), place), words);
}

function drawBoardFigures() {
  const shown = page.sections.map((_, section) => placesOf(section));
  const choice = byId("figure-section");
  const select = choice.querySelector("select");
  const possible = shown.map((_, section) => section).filter((section) => shown[section].length);
  const wanted = possible.includes(Number(select.value)) && select.value !== "" ? Number(select.value) : possible[0];
  select.replaceChildren(...possible.map((section) => make("option", { value: section, selected: section === wanted }, page.sections[section].title)));
  choice.hidden = possible.length < 2;
  byId("figures").hidden = !possible.length;
  if (possible.length) {
    drawPlane(shown[wanted]);
    drawForest(shown[wanted]);
  }
}

// --- one system ---------------------------------------------------------------------------------------------------

function devicesOf(place) {
  return (lens().devices[place] ?? []).map(([device, ...values]) => {
    const [name, cycles, patients] = page.devices[device];
    return { name: `${name}\n${cycles} cycles, ${patients} patient${patients === 1 ? "" : "s"}`, values };
  });
}

function drawDevices(place) {
  const devices = devicesOf(place);
  const bars = devices.flatMap(({ name, values }) => RATES.map(([rate, , colour], i) => ({ device: name, rate, colour, value: values[2 * i], std: values[2 * i + 1] }))).filter((bar) => bar.value !== null);
  legend("devices-legend", RATES.map(([rate, , colour]) => [rate, colour, "square"]));
  draw("devices", "Sp, Se and Score by recording device", bars.length && ((width) => {
    const narrow = width < 520;
    return {
      height: devices.length * 84 + 40, marginLeft: narrow ? 96 : 170, marginRight: 88, marginBottom: 36,
      x: { domain: [0, 100], label: "%", grid: true, labelAnchor: "right" },
      y: { domain: RATES.map(([rate]) => rate), axis: null, padding: 0.15 },
      fy: { label: null, domain: devices.map(({ name }) => name), axis: null, padding: 0.12 },
      color: { type: "identity" },
      marks: [
        Plot.barX(bars, { x: "value", y: "rate", fy: "device", fill: "colour", className: "bars" }),
        whiskers(bars.filter((bar) => bar.std !== null), { y: "rate", fy: "device" }),
        Plot.text(bars, { x: (bar) => Math.min(100, bar.value + (bar.std ?? 0)), y: "rate", fy: "device", text: (bar) => `${number(bar.value)} ${bar.rate}`, textAnchor: "start", dx: 4, fill: "currentColor" }),
        Plot.text(devices, { fy: "name", text: (one) => narrow ? one.name.replace(", ", ",\n") : one.name, frameAnchor: "left", textAnchor: "end", dx: -8, fill: "currentColor", fontSize: 11, lineWidth: 20 }),
      ],
    };
  }));
  walkable("devices", bars, null, (bar) => `${bar.device}\n${bar.rate} ${number(bar.value)}${bar.std === null ? "" : ` ± ${number(bar.std)}`}`);
}

function whiskers(bars, where) {
  return Plot.ruleY(bars, { x1: (bar) => Math.max(0, bar.value - bar.std), x2: (bar) => Math.min(100, bar.value + bar.std), stroke: "currentColor", strokeWidth: 1.5, ...where });
}

function drawClasses(place) {
  const recalls = cells().classes[place] ?? [];
  const bars = recalls.map(([cycles, value, std], i) => ({ name: classesOf(place)[i], cycles, value, std })).filter((bar) => bar.value !== null);
  draw("classes", "Recall of each class", bars.length && (() => ({
    height: bars.length * 46 + 50, marginLeft: 96, marginRight: 58, marginBottom: 36,
    x: { domain: [0, 100], label: "recall (%)", grid: true, labelAnchor: "center" },
    y: { domain: classesOf(place), label: null, axis: null, padding: 0.3 },
    marks: [
      Plot.barX(bars, { x: "value", y: "name", fill: "var(--c1)", className: "bars" }),
      whiskers(bars.filter((bar) => bar.std !== null), { y: "name" }),
      Plot.text(bars, { x: (bar) => Math.min(100, bar.value + (bar.std ?? 0)), y: "name", text: (bar) => number(bar.value), textAnchor: "start", dx: 4, fill: "currentColor" }),
      Plot.text(bars, { frameAnchor: "left", y: "name", text: (bar) => `${bar.name}\n${bar.cycles} cycles`, textAnchor: "end", dx: -8, fill: "currentColor", fontSize: 11 }),
    ],
  })));
  walkable("classes", bars, null, (bar) => `${bar.name}, ${bar.cycles} cycles\nrecall ${number(bar.value)}${bar.std === null ? "" : ` ± ${number(bar.std)}`}`);
}

/** The numbers of a run's epochs, which are given one by one only where they do not count from 1. */
function epochsOf(run) {
  return typeof run.curve.epoch === "number" ? d3.range(1, run.curve.epoch + 1) : run.curve.epoch;
}

/** The Score on test, and on held-out patients where there are some, over the loss; one line for each seed. */
function drawCurves(place) {
  const found = underRule(place);
  const runs = (found?.runs ?? []).map((run, i) => ({ ...page.runs[run], epochs: epochsOf(page.runs[run]), chosen: found.epochs[i] })).filter((run) => run.epochs.length);
  const parts = [...new Set(runs.flatMap((run) => Object.keys(run.curve).filter((key) => key.startsWith("loss/"))))].sort();
  const columns = [["test", `test/${state.judged}`], ["held-out", `val/${state.judged}`], ["loss", "loss"], ...parts.map((key) => [key.slice("loss/".length), key])];
  const points = runs.flatMap((run) => columns.flatMap(([what, key]) => (run.curve[key] ?? []).map((value, i) => ({
    what, seed: run.seed, epoch: run.epochs[i], loss: key.startsWith("loss"), part: parts.indexOf(key), value: key.startsWith("loss") || value === null ? value : value / 100, line: `${run.id} ${key}`, chosen: run.epochs[i] === run.chosen,
  })))).filter((point) => point.value !== null);
  const seeds = [...new Set(runs.map((run) => run.seed))];
  const colour = (point) => PALETTE[seeds.indexOf(point.seed) % PALETTE.length];
  const scores = points.filter((point) => !point.loss);
  const losses = points.filter((point) => point.loss);
  // Dots for the parts of a loss, with a wider gap for each further one; dashes are those of the held-out patients.
  const dash = (point) => point.part < 0 ? (point.loss || point.what === "test" ? null : "4 3") : `1.5 ${3 + 2 * point.part}`;
  const named = parts.map((key) => key.slice("loss/".length)).join(", ");
  byId("curves-words").textContent = points.length ?
    `One colour for each seed (${seeds.join(", ")}). Left: Score in percent on the test part${scores.some((point) => point.what === "held-out") ? " (dashed: on held-out patients)" : ""}; dots: the chosen epoch. Right: training loss${named ? ` (dotted: its parts ${named})` : ""}.` : "No epochs are known of these runs.";
  if (!points.length) {
    byId("curves").replaceChildren();
    return;
  }
  const lines = (data, label, digits) => (width) => ({
    width, height: 240, marginLeft: 48, marginBottom: 36, marginTop: 20,
    x: { label: "epoch", labelAnchor: "center", ticks: d3.ticks(...d3.extent(data, (point) => point.epoch), Math.min(8, width / 60)).filter(Number.isInteger), tickFormat: "d" },
    y: { label, grid: true, nice: true, ticks: 5 },
    marks: [
      ...d3.groups(data, dash).map(([strokeDasharray, points]) => Plot.line(points, { x: "epoch", y: "value", z: "line", stroke: colour, strokeWidth: strokeDasharray ? 1.4 : 1.6, ...(strokeDasharray && { strokeDasharray }) })),
      Plot.dot(data.filter((point) => point.what === "test" && !point.loss && point.chosen), { x: "epoch", y: "value", fill: colour, r: 4 }),
      Plot.tip(data, Plot.pointer({ x: "epoch", y: "value", title: (point) => `seed ${point.seed}, epoch ${point.epoch}\n${point.what} ${number(point.value, digits)}`, fill: "var(--raised)", stroke: "var(--line)" })),
    ],
  });
  byId("curves").replaceChildren(make("div", { id: "curve-scores" }), make("div", { id: "curve-losses" }));
  draw("curve-scores", "Score by epoch", scores.length && lines(scores, "Score (%)", 2));
  draw("curve-losses", "Training loss by epoch", losses.length && lines(losses, "loss", 4));
  const { main } = sectionOf(place);
  if (main) byId("curves-words").textContent += ` Scores by epoch are those of the part that epochs are chosen by: ${main}.`;
  const words = (digits) => (point) => `seed ${point.seed}, epoch ${point.epoch}\n${point.what} ${number(point.value, digits)}`;
  const where = [(point) => point.epoch, (point) => point.value];
  walkable("curve-scores", scores, placer("curve-scores", ...where), words(2));
  walkable("curve-losses", losses, placer("curve-losses", ...where), words(4));
}
