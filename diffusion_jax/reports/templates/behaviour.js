"use strict";

function each(selector, action) {
  document.querySelectorAll(selector).forEach(action);
}

function themes() {
  const root = document.documentElement;
  const dark = () =>
    root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
  });
}

function key(row, column) {
  const text = row.cells[column].dataset.key;
  const number = Number(text);
  return text === "" ? null : Number.isNaN(number) ? text : number;
}

/* Rows without a value stay last, whichever way the others go. */
function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return sign * (typeof a === "number" ? a - b : a.localeCompare(b));
}

/* Puts the rows in the order that the heading states. */
function sort(head) {
  const body = head.closest("table").tBodies[0];
  const sign = head.getAttribute("aria-sort") === "descending" ? -1 : 1;
  const column = head.cellIndex;
  [...body.rows]
    .sort((a, b) => compare(key(a, column), key(b, column), sign))
    .forEach((row) => body.append(row));
}

function sortable() {
  each("thead button", (button) => {
    button.addEventListener("click", () => {
      const head = button.parentElement;
      const rising = head.getAttribute("aria-sort") !== "ascending";
      head.parentElement.querySelectorAll("th").forEach((th) => th.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", rising ? "ascending" : "descending");
      sort(head);
    });
  });
}

function disagreement() {
  const box = document.getElementById("mixed");
  if (!box) return;
  box.addEventListener("change", () => {
    document.querySelector(".cards").classList.toggle("only-mixed", box.checked);
  });
}

/* Copies one row of a contact sheet onto a canvas, with a gap between pictures. */
function project(canvas, film, sheet, frame) {
  const gap = Math.max(1, Math.round(film.width / 16));
  canvas.width = film.count * (film.width + gap) - gap;
  canvas.height = film.height;
  const pen = canvas.getContext("2d");
  for (let i = 0; i < film.count; i++) {
    pen.drawImage(
      sheet, i * film.width, frame * film.height, film.width, film.height,
      i * (film.width + gap), 0, film.width, film.height,
    );
  }
}

async function reel(canvas, film) {
  const sheet = new Image();
  sheet.src = film[canvas.dataset.sheet];
  await sheet.decode();
  return (frame) => project(canvas, film, sheet, frame);
}

async function projector() {
  const source = document.getElementById("films");
  if (!source) return;
  const films = JSON.parse(source.textContent);
  const slider = document.getElementById("frame");
  const canvases = [...document.querySelectorAll("canvas[data-film]")];
  const reels = await Promise.all(canvases.map((c) => reel(c, films[c.dataset.film])));
  const frameOf = (film) => Math.round((slider.value / slider.max) * (film.frames - 1));
  const show = () => {
    canvases.forEach((canvas, i) => reels[i](frameOf(films[canvas.dataset.film])));
    each("[data-level]", (output) => {
      const film = films[output.dataset.level];
      output.textContent = film.logSnr[frameOf(film)];
    });
    const first = films[0];
    slider.setAttribute(
      "aria-valuetext", `frame ${frameOf(first) + 1} of ${first.frames}, log-SNR ${first.logSnr[frameOf(first)]}`,
    );
  };
  slider.addEventListener("input", show);
  player(slider, show);
  show();
}

function player(slider, show) {
  const button = document.getElementById("play");
  let timer = null;
  const stop = () => {
    clearInterval(timer);
    timer = null;
    button.textContent = "\u25b6";
    button.setAttribute("aria-label", "Play");
  };
  const advance = () => {
    slider.value = Number(slider.value) + Number(slider.max) / 120;
    show();
    if (slider.value === slider.max) stop();
  };
  button.addEventListener("click", () => {
    if (timer !== null) return stop();
    if (slider.value === slider.max) slider.value = 0;
    button.textContent = "\u275a\u275a";
    button.setAttribute("aria-label", "Pause");
    timer = setInterval(advance, 50);
  });
}

themes();
sortable();
disagreement();
projector();
