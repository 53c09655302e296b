// Plays films: a frame per epoch or update, each a grid of 8-bit outputs and the weights. A run's page plays one, and asks
// again for it while the run trains; a lesson plays those of all its seeds side by side.
const [BELOW, ABOVE] = [[207, 229, 245], [251, 227, 192]];
const CLASSES = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5b5b5b", "#8A7A00"];
const [LEFT, BOTTOM, CELL] = [46, 36, 3];

async function read(address) {
  const answer = await fetch(address);
  if (answer.status !== 200) return undefined;
  const film = await answer.json();
  film.values = Uint8Array.from(atob(film.outputs), (character) => character.charCodeAt(0));
  return film;
}

// Draws a frame of a film; says are the names of the axes.
function paint(canvas, film, at, says) {
  const pen = canvas.getContext("2d");
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

  function plane() {
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

  function curve() {
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
    pen.fillText(film.size.length === 2 ? `${says.input} x₁` : `${says.input} x`, LEFT + wide() / 2, canvas.height - 4);
    pen.save();
    pen.translate(12, 8 + high() / 2);
    pen.rotate(-Math.PI / 2);
    pen.fillText(film.size.length === 2 ? `${says.input} x₂` : `${says.output} y`, 0, 0);
    pen.restore();
  }

  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  if (film.size.length === 2) plane(); else curve();
  axes();
}

// Connects a slider and a button for playing; show(at) is called for every moment.
function playing(slider, button, show) {
  const words = { play: button.textContent, pause: button.dataset.pause };
  let timer;
  const pause = () => {
    clearInterval(timer);
    timer = undefined;
    button.textContent = words.play;
  };
  button.addEventListener("click", () => {
    if (timer) return pause();
    if (slider.value === slider.max) slider.value = 0;
    button.textContent = words.pause;
    const pace = Math.max(40, 6000 / (Number(slider.max) + 1));
    timer = setInterval(() => {
      if (slider.value === slider.max) return pause();
      slider.value = Number(slider.value) + 1;
      show();
    }, pace);
  });
  slider.addEventListener("input", show);
  return () => timer !== undefined;
}

// What is said below a film depends on whether its network has one input or two.
function explain(box, film) {
  for (const text of box.querySelectorAll("[data-about]")) text.hidden = Number(text.dataset.about) !== film.size.length;
}

const moment = (says, film, at) => says[film.unit].replace("{n}", film.positions[at]);

function play(box) {
  const player = box.querySelector(".player");
  const slider = player.querySelector("input");
  const rows = player.querySelector("tbody");
  let film;
  const show = () => {
    const at = Number(slider.value);
    player.querySelector("output").textContent = moment(box.dataset, film, at);
    paint(player.querySelector("canvas"), film, at, box.dataset);
    if (!film.weights.length) return;
    rows.replaceChildren(...film.names.map((name, index) => {
      const row = document.createElement("tr");
      const head = Object.assign(document.createElement("th"), { textContent: name, scope: "row" });
      row.append(head, Object.assign(document.createElement("td"), { textContent: film.weights[at][index], className: "number" }));
      return row;
    }));
  };
  const plays = playing(slider, player.querySelector("[data-play]"), show);
  const renew = async () => {
    const fresh = await read(box.dataset.film);
    if (!fresh) return;
    const atEnd = !film || Number(slider.value) === film.positions.length - 1;
    film = fresh;
    slider.max = film.positions.length - 1;
    if (atEnd && !plays()) slider.value = slider.max;
    box.querySelector("[data-film-says]").hidden = true;
    player.hidden = false;
    explain(box, film);
    show();
  };
  renew();
  if (!("filmLive" in box.dataset)) return;
  const again = setInterval(async () => {
    const over = document.querySelector("#state .dot:is(.finished, .failed, .killed, .check_failed)");
    await renew(); // once more after the end: the last frames came with it
    if (over) clearInterval(again);
  }, 2500);
}

// All seeds at once: a film that ended earlier stays at its last frame.
async function playTogether(box, tries = 20) {
  const figures = [...box.querySelectorAll("[data-film]")];
  const slider = box.querySelector("input");
  const films = (await Promise.all(figures.map((figure) => read(figure.dataset.film)))).map((film, index) => [film, figures[index]]);
  const shown = films.filter(([film]) => film);
  if (shown.length < figures.length && tries) { // the runs have ended, and their films are on their way to MLflow
    setTimeout(() => playTogether(box, tries - 1), 2500);
    return;
  }
  if (!shown.length) return;
  box.querySelector("[data-film-says]").hidden = true;
  const [longest] = shown.reduce((best, pair) => (pair[0].positions.length > best[0].positions.length ? pair : best));
  slider.max = longest.positions.length - 1;
  const show = () => {
    const at = Number(slider.value);
    box.querySelector("output").textContent = moment(box.dataset, longest, at);
    for (const [film, figure] of shown) paint(figure.querySelector("canvas"), film, Math.min(at, film.positions.length - 1), box.dataset);
  };
  playing(slider, box.querySelector("[data-play]"), show);
  for (const [film, figure] of films) figure.hidden = !film;
  box.querySelector(".player").hidden = false;
  explain(box, longest);
  show();
}

for (const box of document.querySelectorAll("section[data-film]")) play(box);
document.addEventListener("toggle", (event) => {
  const box = event.target;
  if (!box.open || !("films" in (box.dataset ?? {})) || box.dataset.films === "read") return;
  box.dataset.films = "read";
  playTogether(box);
}, true);
