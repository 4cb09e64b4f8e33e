// How sure a difference is. The formulae are those of leaderboard/statistics, and a test holds the two together:
// jackknife over patients plus variance over seeds, Student's t with Satterthwaite's degrees of freedom.

const ZERO = 1e-9;
const LEVEL = 0.95;
const RATE_NAMES = ["sp", "se", "score"];

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

/** Natural logarithm of the gamma function (Lanczos, g = 7). */
function logGamma(x) {
  const terms = [0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7];
  const t = x + 6.5;
  const series = terms.slice(1).reduce((total, term, i) => total + term / (x + i), terms[0]);
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(series);
}

/** The continued fraction of the incomplete beta function (Lentz). */
function betaFraction(x, a, b) {
  const tiny = 1e-300;
  let c = 1;
  let d = 1 - ((a + b) * x) / (a + 1);
  d = 1 / (Math.abs(d) < tiny ? tiny : d);
  let value = d;
  for (let m = 1; m <= 500; m += 1) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    for (const step of [even, odd]) {
      d = 1 + step * d;
      c = 1 + step / c;
      d = 1 / (Math.abs(d) < tiny ? tiny : d);
      if (Math.abs(c) < tiny) c = tiny;
      value *= c * d;
    }
    if (Math.abs(c * d - 1) < 1e-15) break;
  }
  return value;
}

/** The regularised incomplete beta function. */
function beta(x, a, b) {
  if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x));
  return x < (a + 1) / (a + b + 2) ? (front * betaFraction(x, a, b)) / a : 1 - (front * betaFraction(1 - x, b, a)) / b;
}

/** Distribution function of Student's t. */
function tProbability(t, degrees) {
  const tail = 0.5 * beta(degrees / (degrees + t * t), degrees / 2, 0.5);
  return t > 0 ? 1 - tail : tail;
}

/** Quantile of Student's t above one half, by halving. */
function tQuantile(probability, degrees) {
  let [lo, hi] = [0, 2];
  while (tProbability(hi, degrees) < probability) hi *= 2;
  for (let i = 0; i < 100 && hi - lo > 1e-13 * hi; i += 1) {
    const middle = (lo + hi) / 2;
    if (tProbability(middle, degrees) < probability) lo = middle;
    else hi = middle;
  }
  return (lo + hi) / 2;
}

/** The Score that follows from Sp and Se: their mean, or the mean of that and of their harmonic mean. */
function scoreOf(sp, se, law = "mean") {
  const mean = (sp + se) / 2;
  return law === "mean" ? mean : (mean + (sp + se > 0 ? (2 * sp * se) / (sp + se) : 0)) / 2;
}

/** Sp, Se and Score in percent from correct normal and abnormal cycles and all of each. */
function ratesOf(normal, abnormal, ofNormal, ofAbnormal, law = "mean") {
  const [sp, se] = [(100 * normal) / ofNormal, (100 * abnormal) / ofAbnormal];
  return [sp, se, scoreOf(sp, se, law)];
}

/** Sp, Se and Score without each patient; arguments are lists over patients. */
function ratesWithout(normal, abnormal, ofNormal, ofAbnormal, law = "mean") {
  const totals = [normal, abnormal, ofNormal, ofAbnormal].map(sum);
  return normal.map((_, p) => ratesOf(...[normal, abnormal, ofNormal, ofAbnormal].map((values, i) => totals[i] - values[p]), law));
}

/** How far each patient moves Sp, Se and Score, scaled so that the squares add up to the jackknife variances. */
function influenceOf(counts) {
  const without = ratesWithout(counts.normal, counts.abnormal, counts.ofNormal, counts.ofAbnormal, counts.law);
  const scale = Math.sqrt((without.length - 1) / without.length);
  return RATE_NAMES.map((_, i) => {
    const values = without.map((rates) => rates[i]);
    const mean = sum(values) / values.length;
    return values.map((value) => (value - mean) * scale);
  });
}

function variance(values) {
  const mean = sum(values) / values.length;
  return sum(values.map((value) => (value - mean) ** 2)) / (values.length - 1);
}

/** For Sp, Se and Score the variance of the mean that comes from the seeds; null where nothing is known of it. */
function seedParts(bySeed, pooled) {
  const seeds = bySeed.length;
  if (seeds > 1) return RATE_NAMES.map((_, i) => ({ variance: variance(bySeed.map((rates) => rates[i])) / seeds, degrees: seeds - 1 }));
  return pooled && RATE_NAMES.map((name) => ({ variance: pooled[name] ** 2, degrees: pooled.degrees }));
}

/** A value with its interval from the parts of its variance; `error` is 0 where nothing varies. */
function estimate(value, parts) {
  const known = parts.filter((part) => part.variance > ZERO ** 2);
  if (!known.length) return { value, lo: value, hi: value, error: 0, degrees: Infinity };
  const total = sum(known.map((part) => part.variance));
  const degrees = total ** 2 / sum(known.map((part) => part.variance ** 2 / part.degrees));
  const error = Math.sqrt(total);
  const reach = tQuantile((1 + LEVEL) / 2, degrees) * error;
  return { value, lo: value - reach, hi: value + reach, error, degrees };
}

/** A minus B on the same patients: Sp, Se and Score, how far the data favour A, and whether other seeds are covered. */
function pairedDifference(a, b, pooled) {
  const [ofA, ofB] = [influenceOf(a), influenceOf(b)];
  const seeds = [a, b].map((side) => seedParts(side.bySeed, pooled));
  const known = seeds.filter(Boolean);
  const [sp, se, score] = RATE_NAMES.map((_, i) => {
    const moved = ofA[i].map((value, p) => value - ofB[i][p]);
    const jackknife = { variance: sum(moved.map((value) => value * value)), degrees: moved.length - 1 };
    const means = [a, b].map((side) => sum(side.bySeed.map((rates) => rates[i])) / side.bySeed.length);
    const value = means[0] - means[1];
    return estimate(Math.abs(value) < ZERO ? 0 : value, [jackknife, ...known.map((parts) => parts[i])]);
  });
  return { sp, se, score, favoursA: favours(score), coversSeeds: known.length === seeds.length };
}

function favours(score) {
  if (score.error <= ZERO) return Math.abs(score.value) <= ZERO ? 0.5 : Number(score.value > 0);
  return tProbability(score.value / score.error, score.degrees);
}

/** A system's correct cycles of each patient (means over seeds) under the present choice; null where they are unknown. */
function countsOf(place, from = state) {
  const found = page.hits[from.rule][place];
  if (!found) return null;
  const set = page.sets[found.set];
  const disjoint = from.part === "patient-disjoint";
  if (disjoint && page.lenses[`${from.rule}/${from.part}/${from.judged}`].score[place] === null) return null;
  const kept = set.patients.map((_, p) => p).filter((p) => !disjoint || !set.shared.includes(p));
  const pick = (values) => kept.map((p) => values[p]);
  const which = from.judged === "2class" ? 2 : 1;
  const totals = found.seeds[disjoint ? 1 : 0];
  const [ofNormal, ofAbnormal] = [pick(set.normal), pick(set.abnormal)];
  const mean = (values) => pick(values).map((value) => value / totals.length);
  const law = lawOf(sectionOf(place));
  return {
    law, set: found.set, patients: pick(set.patients), ofNormal, ofAbnormal,
    normal: mean(found.of[0]), abnormal: mean(found.of[which]),
    bySeed: totals.map((right) => ratesOf(right[0], right[which], sum(ofNormal), sum(ofAbnormal), law)),
  };
}
