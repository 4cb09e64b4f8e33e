// A cycle's sound and spectrogram from files that the reader chooses. They are read in the browser and leave it nowhere.

let ownFiles = new Map();
let player = null;

const HIGHEST = 4000; // Hz; breath sounds lie below it
const WINDOW = 0.05; // s

function takeFiles(files) {
  ownFiles = new Map([...files].map((file) => [file.name, file]));
  const recordings = [...ownFiles.keys()].filter((name) => name.endsWith(".wav") && ownFiles.has(name.replace(/\.wav$/, ".txt"))).length;
  byId("own-words").textContent = recordings ? `${recordings} recordings with annotations found. Nothing of them leaves this browser.` :
    "No recording (.wav) with its annotation (.txt) was found there.";
}

/** Samples of one cycle, one channel, and their rate. */
async function cycleSound({ recording, cycle }) {
  const [sound, annotation] = [".wav", ".txt"].map((ending) => ownFiles.get(recording + ending));
  if (!sound || !annotation) throw new Error(`${recording}.wav and ${recording}.txt are not among the files that you chose.`);
  const lines = (await annotation.text()).split(/\r?\n/).filter((line) => line.trim());
  const [from, to] = (lines[cycle] ?? "").trim().split(/\s+/).map(Number);
  if (!(to > from)) throw new Error(`${recording}.txt has no cycle ${cycle}.`);
  player ??= new AudioContext();
  const whole = await player.decodeAudioData(await sound.arrayBuffer());
  const samples = whole.getChannelData(0).slice(Math.floor(from * whole.sampleRate), Math.ceil(to * whole.sampleRate));
  if (!samples.length) throw new Error(`${recording}.wav ends before cycle ${cycle}.`);
  return { samples, rate: whole.sampleRate, from, to };
}

/** Power spectrum of real samples whose number is a power of two (radix 2, in place). */
function powers(real) {
  const n = real.length;
  const imaginary = new Float64Array(n);
  for (let i = 1, j = 0; i < n; i += 1) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) [real[i], real[j]] = [real[j], real[i]];
  }
  for (let size = 2; size <= n; size *= 2) {
    for (let start = 0; start < n; start += size) {
      for (let k = 0; k < size / 2; k += 1) {
        const angle = (-2 * Math.PI * k) / size;
        const [c, s, a, b] = [Math.cos(angle), Math.sin(angle), start + k, start + k + size / 2];
        const [x, y] = [real[b] * c - imaginary[b] * s, real[b] * s + imaginary[b] * c];
        [real[b], imaginary[b]] = [real[a] - x, imaginary[a] - y];
        [real[a], imaginary[a]] = [real[a] + x, imaginary[a] + y];
      }
    }
  }
  return real.map((value, i) => value * value + imaginary[i] * imaginary[i]);
}

/** Decibels below the loudest, frames of frequencies up to `HIGHEST`. */
function spectrogram(samples, rate, frames) {
  const size = 2 ** Math.ceil(Math.log2(WINDOW * rate));
  const bins = Math.min(size / 2, Math.ceil((HIGHEST * size) / rate));
  const hop = Math.max(1, (samples.length - size) / Math.max(1, frames - 1));
  const found = d3.range(frames).map((frame) => {
    const start = Math.floor(frame * hop);
    const part = Float64Array.from({ length: size }, (_, i) => (samples[start + i] ?? 0) * (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / size)));
    return [...powers(part).subarray(0, bins)].map((power) => 10 * Math.log10(power + 1e-12));
  });
  const loudest = d3.max(found, (frame) => d3.max(frame));
  return found.map((frame) => frame.map((value) => value - loudest));
}

function drawSpectrogram(canvas, frames) {
  const bins = frames[0].length;
  [canvas.width, canvas.height] = [frames.length, bins];
  const context = canvas.getContext("2d");
  frames.forEach((frame, x) => frame.forEach((decibels, bin) => {
    context.fillStyle = d3.interpolateMagma(Math.max(0, 1 + decibels / 80));
    context.fillRect(x, bins - 1 - bin, 1, 1);
  }));
}

function play({ samples, rate }) {
  const buffer = player.createBuffer(1, samples.length, rate);
  buffer.copyToChannel(samples, 0);
  const source = player.createBufferSource();
  source.buffer = buffer;
  source.connect(player.destination);
  source.start();
}

async function hear(cycle) {
  const words = byId("heard-words");
  byId("heard").hidden = false;
  byId("heard-title").textContent = `${cycle.recording}, cycle ${cycle.cycle} (${cycle.label})`;
  byId("spectrogram").hidden = true;
  byId("again").hidden = true;
  if (!ownFiles.size) {
    words.textContent = "Choose the folder of your own copy of ICBHI 2017 first; the recordings are no part of this page.";
    byId("own-data").focus();
    return;
  }
  words.textContent = "Reading …";
  try {
    const sound = await cycleSound(cycle);
    drawSpectrogram(byId("spectrogram"), spectrogram(sound.samples, sound.rate, 300));
    byId("spectrogram").hidden = false;
    byId("spectrogram").setAttribute("aria-label", `Spectrogram of ${cycle.recording}, cycle ${cycle.cycle}`);
    words.textContent = `From ${number(sound.from)} to ${number(sound.to)} s of the recording, 0 to ${HIGHEST} Hz from bottom to top, 80 dB from dark to bright.`;
    byId("again").hidden = false;
    byId("again").onclick = () => play(sound);
    play(sound);
  } catch (error) {
    words.textContent = error instanceof DOMException ? `This browser cannot decode ${cycle.recording}.wav.` : error.message;
  }
}
