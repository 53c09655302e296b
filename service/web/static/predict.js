// A digit that is drawn, or inputs that are set: sent to the network, whose answer is shown as bars.
for (const box of document.querySelectorAll("[data-predict]")) {
  const answers = box.querySelector(".answers");
  const shape = box.dataset.shape.split(",").map(Number);
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
      if (answer.ok && result.outputs) show(result);
      else answers.textContent = box.dataset.failed + " " + (answer.statusText || answer.status);
    } catch (error) {
      answers.textContent = box.dataset.failed + " " + error.message;
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
      row.append(outputs.length > 1 ? `${index} ` : "", meter, ` ${Number(value.toPrecision(4))}`);
      if (best) row.className = "best";
      return row;
    }));
  }

  const later = (make) => { clearTimeout(waiting); waiting = setTimeout(() => ask(make()), 150); };

  if (box.dataset.kind === "numbers") {
    const sliders = [...box.querySelectorAll("input[type=range]")];
    const read = () => {
      for (const slider of sliders) slider.previousElementSibling.textContent = Number(slider.value).toPrecision(3);
      return sliders.map((slider) => Number(slider.value));
    };
    for (const slider of sliders) slider.addEventListener("input", () => later(read));
    ask(read());
    continue;
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
    const small = document.createElement("canvas");
    small.width = width; small.height = height;
    const brush = small.getContext("2d");
    brush.fillStyle = "#000"; brush.fillRect(0, 0, width, height);
    if (right > left) {
      const side = Math.max(right - left, bottom - top) + 1;
      const target = width > 16 ? 20 / 28 * width : width;
      const scale = target / side;
      brush.imageSmoothingQuality = "high";
      brush.drawImage(canvas, left, top, right - left + 1, bottom - top + 1,
        (width - (right - left + 1) * scale) / 2, (height - (bottom - top + 1) * scale) / 2,
        (right - left + 1) * scale, (bottom - top + 1) * scale);
    }
    const data = brush.getImageData(0, 0, width, height).data;
    return Array.from({ length: height }, (_, y) => Array.from({ length: width }, (_, x) => [data[4 * (y * width + x)] / 255]));
  }

  let drawing = false;
  const at = (event) => {
    const frame = canvas.getBoundingClientRect();
    return [(event.clientX - frame.left) * canvas.width / frame.width, (event.clientY - frame.top) * canvas.height / frame.height];
  };
  canvas.addEventListener("pointerdown", (event) => { drawing = true; pen.beginPath(); pen.moveTo(...at(event)); canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointermove", (event) => { if (drawing) { pen.lineTo(...at(event)); pen.stroke(); } });
  canvas.addEventListener("pointerup", () => { drawing = false; later(pixels); });
  box.querySelector("[data-clear]").addEventListener("click", () => { clear(); answers.replaceChildren(); });
}
