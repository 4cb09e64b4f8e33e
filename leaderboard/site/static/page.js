// The switches, the filters, the address, and what is shown.

/** Choose something else: the address changes, and the page follows it. */
function go(changes, quietly = false) {
  const target = address(changes);
  if (quietly) history.replaceState(null, "", target);
  else history.pushState(null, "", target);
  show();
}

function showSwitches() {
  for (const name of Object.keys(SWITCHES)) {
    for (const input of byId("switches").elements[name]) input.checked = input.value === state[name];
  }
  byId("meaning").textContent = `Shown: ${MEANING[state.rule]}; ${MEANING[state.part]}; ${MEANING[state.judged]}.`;
  for (const name of FILTERS) {
    const field = byId("filters").elements[name];
    if (field.value !== state[name]) field.value = state[name];
  }
}

let shown = null;

/** What the address asks for: the board, one system, two of them, or the cycles that most systems miss. */
function viewOf() {
  if (state.view) return state.view;
  return placeOf(state.system) >= 0 ? "system" : "board";
}

const SHOWN = {
  board: { element: "board", title: () => "", fill: () => { fillTables(); drawBoardFigures(); } },
  system: { element: "system", title: () => page.systems[placeOf(state.system)].title, fill: () => fillSystem(placeOf(state.system)) },
  compare: { element: "comparison", title: () => "Comparison of two systems", fill: fillComparison },
  missed: { element: "missed", title: () => "Cycles that most systems miss", fill: fillMissed },
};

function show() {
  readAddress();
  showSwitches();
  const view = viewOf();
  for (const [name, { element }] of Object.entries(SHOWN)) byId(element).hidden = name !== view;
  for (const [id, target] of [["to-board", ""], ["to-compare", "compare"], ["to-missed", "missed"]]) {
    byId(id).href = address({ system: "", view: target });
    byId(id).toggleAttribute("aria-current", target === (view === "board" ? "" : view));
  }
  document.title = [SHOWN[view].title(), "LungBench leaderboard"].filter(Boolean).join(" – ");
  SHOWN[view].fill();
  const now = view === "system" ? `system ${state.system}` : view;
  if (now !== shown && view !== "board") {
    scrollTo(0, 0);
    if (shown !== null || view === "system") byId(SHOWN[view].element).focus({ preventScroll: true });
  } else if (now !== shown && shown?.startsWith("system ")) {
    document.querySelector(`tr[data-id="${shown.slice(7)}"] a`)?.focus();
  }
  shown = now;
}

function fillChoices() {
  const data = [...new Set(page.sections.map((_, section) => dataOf(section)))];
  byId("filters").elements.data.append(...data.map((value) => make("option", { value }, value)));
  byId("filter-data").hidden = !HAS_TASKS;
  for (const name of ["model", "method", "pretrain"]) {
    const values = [...new Set(page.systems.map((system) => system[name]))].sort();
    byId("filters").elements[name].append(...values.map((value) => make("option", { value }, value)));
  }
}

function listen() {
  byId("switches").addEventListener("change", (event) => go({ [event.target.name]: event.target.value }));
  byId("switches").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("input", (event) => go({ [event.target.name]: event.target.value }, true));
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("reset", (event) => {
    event.preventDefault();
    go({ text: "", data: "", model: "", method: "", pretrain: "" }, true);
  });
  byId("figure-section").addEventListener("change", drawBoardFigures);
  byId("show-printed").addEventListener("change", drawBoardFigures);
  byId("pair").addEventListener("change", (event) => go({ [event.target.name]: event.target.value }));
  byId("pair").addEventListener("submit", (event) => event.preventDefault());
  byId("swap").addEventListener("click", () => go({ a: state.b, b: state.a }));
  byId("own-data").addEventListener("change", (event) => takeFiles(event.target.files));
  // Paper has no switches to press: what is folded away is printed too.
  addEventListener("beforeprint", () => document.querySelectorAll("details:not([open], .citation)").forEach((one) => { one.dataset.folded = "1"; one.open = true; }));
  addEventListener("afterprint", () => document.querySelectorAll("details[data-folded]").forEach((one) => { delete one.dataset.folded; one.open = false; }));
  addEventListener("popstate", show);
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault(); // its address would be taken for a choice
    byId("main").focus();
  });
  let width = innerWidth;
  let waiting = 0;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(show, 150);
  });
}

makeTables();
fillChoices();
listen();
show();
