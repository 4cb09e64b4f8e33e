// One system patient by patient: how many cycles each has, how many of them are right, and how far each moves the Score.

/** Rows over the patients: cycles, correct ones, and the Score less the Score without the patient. */
function patientRows(counts) {
  const whole = ratesOf(...[counts.normal, counts.abnormal, counts.ofNormal, counts.ofAbnormal].map(sum), counts.law);
  const without = ratesWithout(counts.normal, counts.abnormal, counts.ofNormal, counts.ofAbnormal, counts.law);
  return counts.patients.map((patient, p) => {
    const cycles = counts.ofNormal[p] + counts.ofAbnormal[p];
    return {
      patient, cycles, normal: counts.ofNormal[p], abnormal: counts.ofAbnormal[p],
      sp: counts.ofNormal[p] ? (100 * counts.normal[p]) / counts.ofNormal[p] : null,
      se: counts.ofAbnormal[p] ? (100 * counts.abnormal[p]) / counts.ofAbnormal[p] : null,
      rate: (100 * (counts.normal[p] + counts.abnormal[p])) / cycles,
      leverage: whole[2] - without[p][2],
    };
  });
}

function unknownCounts() {
  return `Not known under this choice: the correct cycles of each patient stand in this page for the first ${page.counted} systems that have predictions.`;
}

function drawPatients(place) {
  const counts = countsOf(place);
  byId("patients-words").textContent = counts ?
    "Cycles of each patient against the share of them that is right (mean over seeds). Patients whose mark points up raise the Score, the others lower it, the larger the more." : unknownCounts();
  byId("patients-more").hidden = !counts;
  if (!counts) {
    byId("patients").replaceChildren();
    return;
  }
  const rows = patientRows(counts).sort((a, b) => Math.abs(b.leverage) - Math.abs(a.leverage));
  const words = (row) => `patient ${row.patient}: ${row.cycles} cycles (${row.normal} normal, ${row.abnormal} abnormal)\n${number(row.rate, 1)} % right\n${signed(row.leverage)} points of Score`;
  const most = d3.max(rows, (row) => Math.abs(row.leverage)) || 1;
  draw("patients", "Cycles of each patient and the share of them that is right", (width) => ({
    height: Math.min(400, Math.max(280, width * 0.5)), marginLeft: 46, marginBottom: 42, marginTop: 20,
    x: { type: "sqrt", domain: [0, d3.max(rows, (row) => row.cycles) * 1.05], label: "cycles (square-root scale)", labelAnchor: "center", ticks: 6 },
    y: { domain: [-3, 103], label: "right (%)", grid: true, ticks: 6 },
    r: { type: "identity" },
    marks: [
      ...[[1, PALETTE[0], 0], [-1, PALETTE[1], 180]].map(([sign, fill, rotate]) => Plot.dot(rows.filter((row) => (row.leverage < 0) === (sign < 0)), {
        x: "cycles", y: "rate", r: (row) => 2.5 + 6.5 * Math.sqrt(Math.abs(row.leverage) / most), fill, rotate, symbol: "triangle", fillOpacity: 0.8, stroke: "var(--ground)",
      })),
      Plot.text(rows.slice(0, width < 520 ? 4 : 10), { x: "cycles", y: "rate", text: "patient", dy: -13, fontSize: 11, fill: "currentColor", stroke: "var(--ground)", strokeWidth: 3 }),
      Plot.tip(rows, Plot.pointer({ x: "cycles", y: "rate", title: words, fill: "var(--raised)", stroke: "var(--line)" })),
    ],
  }));
  walkable("patients", rows, placer("patients", (row) => row.cycles, (row) => row.rate), words);
  fillTableOf("patients-table", ["Patient", "Cycles", "Normal", "Sp", "Abnormal", "Se", "Right (%)", "Moves the Score"], rows.map((row) => [
    row.patient, row.cycles, row.normal, number(row.sp), row.abnormal, number(row.se), number(row.rate), signed(row.leverage),
  ]), 1);
}
