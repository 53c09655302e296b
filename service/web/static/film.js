// Plays the film of a run: a frame per epoch or update, each a grid of 8-bit outputs and the weights. While the run
// trains the film is asked for again as it grows.
const box = document.querySelector("[data-film]");
const player = box.querySelector(".player");
const canvas = player.querySelector("canvas");
const slider = player.querySelector("input");
const said = player.querySelector("output");
const button = player.querySelector("[data-play]");
const rows = player.querySelector("tbody");
const pen = canvas.getContext("2d");
const [BELOW, ABOVE] = [[207, 229, 245], [251, 227, 192]];
const CLASSES = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5b5b5b", "#8A7A00"];
const [LEFT, BOTTOM, CELL] = [46, 36, 3];
const words = { play: button.textContent, pause: button.dataset.pause };
let film;
let timer;

async function fetchFilm() {
  const answer = await fetch(box.dataset.film);
  if (answer.status !== 200) return;
  const fresh = await answer.json();
  fresh.values = Uint8Array.from(atob(fresh.outputs), (character) => character.charCodeAt(0));
  const atEnd = !film || Number(slider.value) === film.positions.length - 1;
  film = fresh;
  slider.max = film.positions.length - 1;
  if (atEnd && !timer) slider.value = slider.max;
  box.querySelector("[data-film-says]").hidden = true;
  player.hidden = false;
  show();
}

function show() {
  const at = Number(slider.value);
  said.textContent = box.dataset[film.unit].replace("{n}", film.positions[at]);
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  if (film.size.length === 2) plane(at); else curve(at);
  axes();
  if (film.weights.length) {
    rows.replaceChildren(...film.names.map((name, index) => {
      const row = document.createElement("tr");
      const head = Object.assign(document.createElement("th"), { textContent: name, scope: "row" });
      row.append(head, Object.assign(document.createElement("td"), { textContent: film.weights[at][index], className: "number" }));
      return row;
    }));
  }
}

const height = (byte) => film.low + (byte / 255) * (film.high - film.low);
const wide = () => canvas.width - LEFT - 8;
const high = () => canvas.height - BOTTOM - 8;
const across = (x) => LEFT + ((x - film.axes[0][0]) / (film.axes[0][1] - film.axes[0][0])) * wide();
const upOf = ([low, top]) => (y) => canvas.height - BOTTOM - ((y - low) / (top - low)) * high();

function colour(byte) {
  const value = height(byte);
  if (film.classes) return CLASSES[Math.round(value) % 8].match(/\w\w/g).map((pair) => 255 - (255 - parseInt(pair, 16)) * 0.45);
  if (film.bound !== null) return value > film.bound ? ABOVE : BELOW;
  const share = byte / 255;
  return BELOW.map((low, index) => low + share * (ABOVE[index] - low));
}

function plane(at) {
  const [columns, lines] = film.size;
  const frame = film.values.subarray(at * columns * lines, (at + 1) * columns * lines);
  // Between the grid's points outputs are interpolated; classes are numbers of their own and are not.
  const value = (row, column) => frame[row * columns + column];
  const between = (row, column) => {
    const [r, c] = [Math.min(lines - 2, Math.floor(row)), Math.min(columns - 2, Math.floor(column))];
    const [a, b] = [row - r, column - c];
    if (film.classes) return value(r + Math.round(a), c + Math.round(b));
    return (1 - a) * ((1 - b) * value(r, c) + b * value(r, c + 1)) + a * ((1 - b) * value(r + 1, c) + b * value(r + 1, c + 1));
  };
  for (let y = 0; y < high(); y += CELL) for (let x = 0; x < wide(); x += CELL) {
    const byte = between(((high() - y) / high()) * (lines - 1), (x / wide()) * (columns - 1));
    pen.fillStyle = `rgb(${colour(byte).map(Math.round).join()})`;
    pen.fillRect(LEFT + x, 8 + y, CELL, CELL);
  }
  const up = upOf(film.axes[1]);
  film.points.forEach(([x, y], index) => dot(across(x), up(y), film.targets[index]));
}

function dot(x, y, target) {
  pen.beginPath();
  pen.arc(x, y, 5, 0, 7);
  pen.fillStyle = film.bound === null && !film.classes ? "#555" : CLASSES[Math.round(target) % 8];
  pen.fill();
  pen.strokeStyle = "#000";
  pen.lineWidth = 1;
  pen.stroke();
}

function span() {
  const targets = film.targets;
  const [low, top] = [Math.min(film.low, ...targets), Math.max(film.high, ...targets)];
  return [low - 0.05 * (top - low || 1), top + 0.05 * (top - low || 1)];
}

function curve(at) {
  const [columns] = film.size;
  const up = upOf(span());
  film.points.forEach(([x], index) => dot(across(x), up(film.targets[index]), film.targets[index]));
  pen.beginPath();
  for (let column = 0; column < columns; column++) {
    const x = film.axes[0][0] + (column / (columns - 1)) * (film.axes[0][1] - film.axes[0][0]);
    pen.lineTo(across(x), up(height(film.values[at * columns + column])));
  }
  pen.strokeStyle = "#CC79A7";
  pen.lineWidth = 3;
  pen.stroke();
}

function axes() {
  const vertical = film.size.length === 2 ? film.axes[1] : span();
  const up = upOf(vertical);
  pen.fillStyle = "#1c2430";
  pen.font = "13px sans-serif";
  pen.strokeStyle = "#1c2430";
  pen.lineWidth = 1;
  pen.strokeRect(LEFT, 8, wide(), high());
  for (const [low, top, horizontal] of [[...film.axes[0], true], [...vertical, false]]) {
    const step = 10 ** Math.floor(Math.log10((top - low) / 2));
    const spread = (top - low) / step > 8 ? 5 * step : step;
    for (let value = Math.ceil(low / spread) * spread; value <= top; value += spread) {
      const text = String(Number(value.toPrecision(3)));
      if (horizontal) { pen.textAlign = "center"; pen.fillText(text, across(value), canvas.height - BOTTOM + 16); }
      else { pen.textAlign = "right"; pen.fillText(text, LEFT - 6, up(value) + 4); }
    }
  }
  pen.textAlign = "center";
  pen.fillText(film.size.length === 2 ? `${box.dataset.input} x₁` : `${box.dataset.input} x`, LEFT + wide() / 2, canvas.height - 4);
  pen.save();
  pen.translate(12, 8 + high() / 2);
  pen.rotate(-Math.PI / 2);
  pen.fillText(film.size.length === 2 ? `${box.dataset.input} x₂` : `${box.dataset.output} y`, 0, 0);
  pen.restore();
}

function pause() {
  clearInterval(timer);
  timer = undefined;
  button.textContent = words.play;
}

button.addEventListener("click", () => {
  if (timer) return pause();
  if (slider.value === slider.max) slider.value = 0;
  button.textContent = words.pause;
  const pace = Math.max(40, 6000 / film.positions.length);
  timer = setInterval(() => {
    if (slider.value === slider.max) return pause();
    slider.value = Number(slider.value) + 1;
    show();
  }, pace);
});
slider.addEventListener("input", show);
fetchFilm();
if ("filmLive" in box.dataset) {
  const again = setInterval(async () => {
    const over = document.querySelector("#state .dot:is(.finished, .failed, .killed, .check_failed)");
    await fetchFilm(); // once more after the end: the last frames came with it
    if (over) clearInterval(again);
  }, 2500);
}
