// Axes that one outlier does not squeeze, and marks for what lies outside them.

/** From the lowest to the highest of some values, but no further out than Tukey's fences. */
function robustDomain(values, margin) {
  const known = values.filter((value) => value !== null && value !== undefined).sort((a, b) => a - b);
  const [q1, q3] = [d3.quantileSorted(known, 0.25), d3.quantileSorted(known, 0.75)];
  const reach = 1.5 * Math.max(q3 - q1, 1);
  return [Math.max(known[0], q1 - reach) - margin, Math.min(known[known.length - 1], q3 + reach) + margin];
}

function within(value, domain) {
  return Math.min(domain[1], Math.max(domain[0], value));
}

function outside(value, domain) {
  return value < domain[0] || value > domain[1];
}
