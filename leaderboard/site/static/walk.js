// Figures by keyboard: the figure takes the focus, arrow keys go from point to point, and the point is said below it.

/**
 * Let the points of a figure be walked through.
 * @param {string} id the place that the figure is drawn into
 * @param {Array} points in the order of the walk
 * @param {?Function} at where a point is, in pixels of the drawing: [x, y]; null where nothing is to be ringed
 * @param {Function} words what is said of a point
 */
function walkable(id, points, at, words) {
  const place = byId(id);
  const figure = place.querySelector("svg");
  if (!figure || !points.length) return;
  const said = make("p", { class: "said", role: "status" });
  place.append(said);
  figure.setAttribute("tabindex", "0");
  figure.setAttribute("aria-roledescription", "figure; arrow keys go through its points");
  const ring = document.createElementNS("http://www.w3.org/2000/svg", "circle");
  ring.setAttribute("r", "9");
  ring.setAttribute("class", "ring");
  let now = -1;
  const leave = () => {
    ring.remove();
    said.textContent = "";
  };
  const go = (number) => {
    now = (number + points.length) % points.length;
    if (at) {
      const [x, y] = at(points[now]);
      ring.setAttribute("cx", x);
      ring.setAttribute("cy", y);
      figure.append(ring);
    }
    said.textContent = `${now + 1} of ${points.length}: ${words(points[now]).split(/\n/).join("; ")}`;
  };
  const moves = {
    ArrowRight: () => go(now + 1), ArrowDown: () => go(now + 1), ArrowLeft: () => go(now < 0 ? -1 : now - 1), ArrowUp: () => go(now < 0 ? -1 : now - 1),
    Home: () => go(0), End: () => go(points.length - 1), Escape: leave,
  };
  figure.addEventListener("keydown", (event) => {
    if (!moves[event.key]) return;
    event.preventDefault();
    moves[event.key]();
  });
  figure.addEventListener("blur", leave);
}

/** Where values lie in a drawn figure. */
function placer(id, x, y) {
  const figure = byId(id).querySelector("svg");
  if (!figure) return () => [0, 0];
  const [ofX, ofY] = [figure.scale("x"), figure.scale("y")];
  return (point) => [ofX.apply(x(point)), ofY.apply(y(point)) + (ofY.bandwidth ?? 0) / 2];
}
