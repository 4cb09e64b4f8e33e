// What a system's scores say beyond its classes: Sp against Se at other thresholds, and whether its confidence is earned.

function answersOf(place) {
  return page.answers[state.rule][place] ?? null;
}

const NO_SCORES = "Not known: its scores are not among those that were read for this page (the first systems of each rule), or it gave classes and no scores.";

function drawThresholds(place) {
  const points = answersOf(place)?.points ?? null;
  const official = page.lenses[`${state.rule}/official/${state.judged}`];
  byId("thresholds-words").textContent = points ?
    `All official test patients, mean over seeds. Patients are dealt into ${page.folds} folds by name; each threshold is chosen on the other folds (to call 0, 5, … 100 % of their normal cycles normal) and judged on the fold that it has not seen. Dot: the answers as they are. Square: the threshold with the best Score on the other folds.` : NO_SCORES;
  if (!points) {
    byId("thresholds").replaceChildren();
    return;
  }
  const which = state.judged === "2class" ? 2 : 1;
  const curve = points.curve.map((rates) => ({ what: "threshold", sp: rates[0], se: rates[which] }));
  const [sp, se] = points.tuned[state.judged];
  const marked = [
    { what: "as they are", sp: official.sp[place], se: official.se[place], symbol: "circle", colour: PALETTE[0] },
    { what: "best threshold of the other folds", sp, se, symbol: "square", colour: PALETTE[1] },
  ].filter((point) => point.sp !== null);
  const words = (point) => `${point.what}\nSp ${number(point.sp)}  Se ${number(point.se)}\nScore ${number(scoreOf(point.sp, point.se, lawOf(sectionOf(place))))}`;
  draw("thresholds", "Sensitivity against specificity over thresholds", (width) => ({
    height: Math.min(380, Math.max(280, width * 0.7)), marginLeft: 46, marginBottom: 42, marginTop: 20,
    x: { domain: [-2, 102], label: "Sp (%)", labelAnchor: "center", ticks: 6 }, y: { domain: [-2, 102], label: "Se (%)", ticks: 6, grid: true },
    color: { type: "identity" }, symbol: { type: "identity" },
    marks: [
      Plot.line(curve, { x: "sp", y: "se", stroke: "var(--c1)", strokeWidth: 1.8, marker: "dot" }),
      Plot.dot(marked, { x: "sp", y: "se", r: 6, fill: "colour", symbol: "symbol", stroke: "var(--ground)" }),
      Plot.tip([...curve, ...marked], Plot.pointer({ x: "sp", y: "se", title: words, fill: "var(--raised)", stroke: "var(--line)" })),
    ],
  }));
  walkable("thresholds", [...marked, ...curve], placer("thresholds", (point) => point.sp, (point) => point.se), words);
}

function drawReliability(place) {
  const found = answersOf(place)?.reliability ?? null;
  byId("reliability-words").textContent = found ?
    `Expected calibration error: ${number(found.error)} points (ten bins of equal width, all seeds together, all official test cycles). Dots below the line: more confident than right.${found.softmax ? " Its scores are no probabilities; a softmax made some of them." : ""}` : NO_SCORES;
  if (!found) {
    byId("reliability").replaceChildren();
    return;
  }
  const bins = found.bins.map(([answers, said, right]) => ({ answers, said, right }));
  const words = (bin) => `${bin.answers} answers\nconfidence ${number(bin.said, 1)} %\nright ${number(bin.right, 1)} %`;
  draw("reliability", "Share of right answers by confidence", (width) => ({
    height: Math.min(380, Math.max(280, width * 0.7)), marginLeft: 46, marginBottom: 42, marginTop: 20,
    x: { domain: [0, 102], label: "confidence (%)", labelAnchor: "center", ticks: 6 }, y: { domain: [-2, 102], label: "right (%)", ticks: 6, grid: true }, r: { range: [0, 13] },
    marks: [
      Plot.line([[0, 0], [100, 100]], { stroke: "var(--quiet)", strokeDasharray: "4 3" }),
      Plot.line(bins, { x: "said", y: "right", stroke: "var(--c1)", strokeWidth: 1.4 }),
      Plot.dot(bins, { x: "said", y: "right", r: "answers", fill: "var(--c1)", fillOpacity: 0.75, stroke: "var(--ground)" }),
      Plot.tip(bins, Plot.pointer({ x: "said", y: "right", title: words, fill: "var(--raised)", stroke: "var(--line)" })),
    ],
  }));
  walkable("reliability", bins, placer("reliability", (bin) => bin.said, (bin) => bin.right), words);
}
