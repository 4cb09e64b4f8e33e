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

let shownSystem = null;

function show() {
  readAddress();
  showSwitches();
  const place = page.systems.findIndex((system) => system.id === state.system);
  const one = place >= 0;
  byId("board").hidden = one;
  byId("system").hidden = !one;
  document.title = one ? `${page.systems[place].title} – LungBench leaderboard` : "LungBench leaderboard";
  if (one) {
    fillSystem(place);
    if (shownSystem !== place) {
      scrollTo(0, 0);
      byId("system").focus({ preventScroll: true });
    }
  } else {
    fillTables();
    drawBoardFigures();
    if (shownSystem !== null) document.querySelector(`tr[data-id="${page.systems[shownSystem].id}"] a`)?.focus();
  }
  shownSystem = one ? place : null;
}

function fillChoices() {
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
    go({ text: "", model: "", method: "", pretrain: "" }, true);
  });
  byId("figure-section").addEventListener("change", drawBoardFigures);
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
