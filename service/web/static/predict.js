// A digit that is drawn, or inputs that are set: sent to the network, whose answer is shown as bars.
function connect(box) {
  const answers = box.querySelector(".answers");
  const shape = box.dataset.shape.split(",").map(Number);
  const labels = JSON.parse(box.dataset.labels);
  let waiting;
  let newest = 0;

  async function ask(inputs) {
    const mine = ++newest;
    try {
      const answer = await fetch(box.dataset.predict, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ inputs: [inputs] }),
      });
      if (mine !== newest) return;
      const result = await answer.json().catch(() => ({}));
      if (answer.ok && result.outputs) { if (inputs.flat(3).some(Boolean) || box.dataset.kind === "numbers") show(result); }
      else answers.textContent = box.dataset.failed + (result.problem ?? answer.status);
    } catch {
      answers.textContent = box.dataset.failed + box.dataset.unreachable;
    }
  }

  function show(result) {
    const outputs = result.outputs[0];
    const largest = Math.max(...outputs.map(Math.abs), 1e-12);
    answers.replaceChildren(...outputs.map((value, index) => {
      const row = document.createElement("p");
      const meter = document.createElement("meter");
      meter.max = Math.max(1, largest);
      meter.value = Math.max(0, value);
      const best = result.classes && result.classes[0] === index && outputs.length > 1;
      const [name, number] = [document.createElement("span"), document.createElement("span")];
      name.textContent = outputs.length > 1 ? labels[index] ?? index : box.dataset.output;
      number.textContent = result.classes ? value.toFixed(3) : Number(value.toPrecision(4));
      row.append(name, meter, number);
      if (best) row.className = "best";
      return row;
    }), ...(result.warnings ?? []).map((text) => Object.assign(document.createElement("p"), { textContent: text, className: "small" })));
  }

  const later = (make) => { clearTimeout(waiting); waiting = setTimeout(() => ask(make()), 150); };

  if (box.dataset.kind === "numbers") {
    const entries = [...box.querySelectorAll("input[type=range], select")];
    const read = () => {
      for (const slider of entries.filter((entry) => entry.type === "range")) slider.previousElementSibling.textContent = Number(slider.step) === 1 ? slider.value : Number(slider.value).toPrecision(3);
      return entries.map((entry) => (entry.type === "range" ? Number(entry.value) : entry.value));
    };
    for (const entry of entries) entry.addEventListener("input", () => later(read));
    ask(read());
    return;
  }

  const canvas = box.querySelector("canvas");
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const clear = () => { pen.fillStyle = "#000"; pen.fillRect(0, 0, canvas.width, canvas.height); };
  clear();
  pen.strokeStyle = "#fff"; pen.lineWidth = 22; pen.lineCap = pen.lineJoin = "round";

  // As the data sets have it: the drawing is cut out, scaled into the middle, and its brightness is between 0 and 1.
  function pixels() {
    const [height, width] = shape;
    const ink = pen.getImageData(0, 0, canvas.width, canvas.height).data;
    let [left, right, top, bottom] = [canvas.width, 0, canvas.height, 0];
    for (let y = 0; y < canvas.height; y++) for (let x = 0; x < canvas.width; x++) {
      if (ink[4 * (y * canvas.width + x)] > 40) {
        left = Math.min(left, x); right = Math.max(right, x); top = Math.min(top, y); bottom = Math.max(bottom, y);
      }
    }
    // Each pixel is the mean over the part of the drawing that it covers.
    const side = (Math.max(right - left, bottom - top) + 1) * (width > 16 ? 28 / 20 : 1);
    const step = side / width;
    const from = [(left + right + 1) / 2 - side / 2, (top + bottom + 1) / 2 - side * height / width / 2];
    const mean = (column, row) => {
      let [sum, count] = [0, 0];
      for (let y = Math.round(from[1] + row * step); y < Math.round(from[1] + (row + 1) * step); y++) {
        for (let x = Math.round(from[0] + column * step); x < Math.round(from[0] + (column + 1) * step); x++) {
          count++;
          if (x >= 0 && y >= 0 && x < canvas.width && y < canvas.height) sum += ink[4 * (y * canvas.width + x)];
        }
      }
      return right > left ? sum / (255 * Math.max(count, 1)) : 0;
    };
    const [low, high] = [Number(box.dataset.low), Number(box.dataset.high)];
    return Array.from({ length: height }, (_, row) => Array.from({ length: width }, (_, column) => [low + (high - low) * mean(column, row)]));
  }

  // By keyboard: the arrows draw, with Shift they move the pen alone.
  const tip = box.querySelector(".tip");
  const place = [canvas.width / 2, canvas.height / 4];
  const show_tip = () => {
    tip.hidden = document.activeElement !== canvas;
    tip.style.left = `${100 * place[0] / canvas.width}%`;
    tip.style.top = `${100 * place[1] / canvas.height}%`;
  };
  canvas.addEventListener("focus", show_tip);
  canvas.addEventListener("blur", show_tip);
  canvas.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-14, 0], ArrowRight: [14, 0], ArrowUp: [0, -14], ArrowDown: [0, 14] }[event.key];
    if (!way) return;
    event.preventDefault();
    pen.beginPath();
    pen.moveTo(...place);
    place[0] = Math.min(Math.max(place[0] + way[0], 0), canvas.width);
    place[1] = Math.min(Math.max(place[1] + way[1], 0), canvas.height);
    show_tip();
    if (event.shiftKey) return;
    pen.lineTo(...place);
    pen.stroke();
    later(pixels);
  });

  let drawing = false;
  const at = (event) => {
    const frame = canvas.getBoundingClientRect();
    return [(event.clientX - frame.left) * canvas.width / frame.width, (event.clientY - frame.top) * canvas.height / frame.height];
  };
  canvas.addEventListener("pointerdown", (event) => { drawing = true; pen.beginPath(); pen.moveTo(...at(event)); canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointermove", (event) => { if (drawing) { pen.lineTo(...at(event)); pen.stroke(); } });
  canvas.addEventListener("pointerup", () => { drawing = false; later(pixels); });
  ask(pixels()); // a worker loads the network while the person draws
  box.querySelector("[data-clear]").addEventListener("click", () => { clearTimeout(waiting); newest++; clear(); answers.replaceChildren(); });
}

// A live page gets its boxes only once the run is finished.
function connectAll() {
  for (const box of document.querySelectorAll("[data-predict]:not([data-connected])")) {
    box.dataset.connected = "";
    connect(box);
  }
}
connectAll();
document.addEventListener("renewed", connectAll);
