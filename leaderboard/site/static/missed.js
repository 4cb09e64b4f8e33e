// The cycles that most systems miss; the sound is the reader's own copy of the data.

/** Recording, cycle, patient, class, share of systems and number of systems, the most missed first. */
function missedOf(section) {
  const which = page.judged.indexOf(state.judged);
  return (page.missed[state.rule][section] ?? []).filter(([judged, , , , , shared]) => judged === which && !(shared && state.part === "patient-disjoint"))
    .slice(0, 40).map(([, recording, cycle, patient, label, , share, systems]) => ({ recording, cycle, patient, label: (page.sections[section].classes ?? page.classes)[label], share, systems }));
}

function fillMissed() {
  const known = page.sections.map((_, section) => section).filter((section) => missedOf(section).length);
  byId("missed-nothing").hidden = known.length > 0;
  byId("missed-tables").replaceChildren(...known.map((section) => {
    const cycles = missedOf(section);
    const title = `missed-${section}`;
    // The reader's own copy is understood in the layout of the first data set alone.
    const heard = !page.sections[section].dataset;
    const heads = ["Recording", "Class", "Cycle", "Patient", "Missed by", ...(heard ? [""] : [])];
    const rows = cycles.map((cycle) => [
      make("code", {}, cycle.recording), cycle.label, cycle.cycle, cycle.patient, `${number(cycle.share, 1)} %`,
      ...(heard ? [make("button", { type: "button", class: "small", onclick: () => hear(cycle) }, "see and hear")] : []),
    ]);
    return make("section", { class: "listing", "aria-labelledby": title },
      make("h3", { id: title }, page.sections[section].title),
      make("p", { class: "quiet" }, `Of the first ${cycles[0].systems} systems with predictions; a system of several seeds counts in parts. The ${cycles.length} cycles that most of them miss.`),
      make("div", { class: "scroll", role: "region", "aria-labelledby": title, tabindex: "0" },
        make("table", { class: "missed" }, make("thead", {}, tableRow("th", heads, 2)), make("tbody", {}, rows.map((row) => tableRow("td", row, 2))))));
  }));
}
