// The slider of the step h: the quotients at that step, their errors, and the mark in the curve. Nothing is asked for.
const slider = document.getElementById("h");
const shown = document.getElementById("h-shown");

function move() {
  const h = 10 ** Number(slider.value);
  shown.textContent = h.toExponential(1);
  const table = document.getElementById("beside");
  if (!table) return;
  const { steps, rows } = JSON.parse(table.dataset.numbers);
  const distance = (step) => Math.abs(Math.log10(step / h));
  const at = steps.reduce((best, step, index) => (distance(step) < distance(steps[best]) ? index : best), 0);
  table.querySelector("[data-h]").textContent = steps[at].toExponential(1);
  [...table.tBodies[0].rows].forEach((row, index) => {
    const [autodiff, quotients] = rows[index];
    const quotient = quotients[at];
    const total = quotient === null ? 0 : Math.abs(autodiff) + Math.abs(quotient);
    row.querySelector("[data-quotient]").textContent = quotient === null ? "–" : Number(quotient.toPrecision(8));
    row.querySelector("[data-error]").textContent =
      quotient === null ? "–" : (total ? Math.abs(autodiff - quotient) / total : 0).toExponential(1);
  });
  for (const mark of document.querySelectorAll("[data-mark]")) {
    mark.setAttribute("visibility", Number(mark.dataset.mark) === at ? "visible" : "hidden");
  }
}
slider?.addEventListener("input", move);
