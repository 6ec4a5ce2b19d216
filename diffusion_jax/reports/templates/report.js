/* One choice of metric, sampling and arms, shown by the table and every figure. */
const many = document.body.classList.contains("many");
const table = document.getElementById("table");
let sweep; // what depends on the choice, once unpacked
let slots = []; // the arms that are brought forward, each in its colour's place

function armName(arm) {
  return table.querySelector(`tr[data-arm="${arm}"] th`).dataset.key;
}

/* The arms drawn in a colour of their own, as a figure's legend needs them. */
function coloured(svg) {
  const drawn = new Set([...svg.querySelectorAll(".series[data-arm]")]
    .filter((element) => getComputedStyle(element).display !== "none")
    .map((element) => element.dataset.arm));
  const shown = [...drawn].filter((arm) => !many || slots.includes(arm)).sort((a, b) => a - b);
  return shown.map((arm) => {
    const path = document.querySelector(`.legend [data-pick="${arm}"] path`);
    const style = getComputedStyle(path);
    return { name: armName(arm), colour: style.stroke, dash: style.strokeDasharray };
  });
}

/* Style rules do the work, so a figure that is drawn later obeys them too. */
function rules(id, text) {
  let style = document.getElementById(id);
  if (!style) {
    style = document.createElement("style");
    style.id = id;
    document.head.append(style);
  }
  style.textContent = text;
}

function pickRules() {
  const picked = slots.filter((arm) => arm !== null);
  if (!many) {
    const others = picked.map((arm) => `:not([data-arm="${arm}"])`).join("");
    return picked.length ? `[data-arm]${others} { opacity: 0.13; }` : "";
  }
  return slots.map((arm, slot) => arm === null ? "" : `
    .many [data-arm="${arm}"], .many [data-pick="${arm}"] { --arm: var(--arm-${slot}); }
    .many .series[data-arm="${arm}"] :is(.bar, .band) { display: inline; }
    .many .series[data-arm="${arm}"] .line { stroke-width: 2; opacity: 1; }
    .many .series[data-arm="${arm}"] .mark { stroke-width: 2; r: 3.4px; opacity: 1; }
    .many .legend [data-pick="${arm}"] { display: flex; }
    .many .cards [data-arm="${arm}"] { display: block; }`).join("");
}

function showPicks() {
  rules("picks", pickRules());
  each("[data-pick]", (button) => button.setAttribute("aria-pressed", slots.includes(button.dataset.pick)));
  for (const arm of slots) each(`svg .series[data-arm="${arm}"]`, (series) => series.parentNode.append(series));
  each("svg .reference", (series) => series.parentNode.append(series));
}

/* With many arms there are as many places as colours; the longest chosen makes room. */
let oldest = 0;
function pick(arm) {
  const place = slots.indexOf(arm);
  if (place >= 0) slots[place] = null;
  else {
    const free = slots.indexOf(null);
    if (free >= 0) slots[free] = arm;
    else if (!many || slots.length < sweep.slots) slots.push(arm);
    else {
      slots[oldest] = arm;
      oldest = (oldest + 1) % sweep.slots;
    }
  }
  showPicks();
}

function filter() {
  const words = document.getElementById("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = [...document.querySelectorAll("[data-axis]")].filter((select) => select.value !== "");
  const gone = [];
  for (const row of table.tBodies[0].rows) {
    const [name, ...rest] = [...row.cells].map((cell) => cell.textContent.trim());
    const text = [name, ...rest.slice(sweep.columns.length)];
    const fits = words.every((word) => text.some((cell) => cell.toLowerCase().includes(word)))
      && wanted.every((select) => text[select.dataset.axis] === select.value);
    if (!fits) gone.push(row.dataset.arm);
  }
  rules("gone", gone.map((arm) => `main [data-arm="${arm}"][data-arm] { display: none !important; }`).join("\n"));
  const all = table.tBodies[0].rows.length;
  document.getElementById("count").textContent = gone.length ? `${all - gone.length} of ${all} arms.` : `${all} arms.`;
  restack(gone);
}

/* The forest's rows follow the table's. */
function restack(gone) {
  const svg = document.querySelector("#forest svg");
  if (!svg) return;
  const top = Number(svg.dataset.top);
  const pitch = Number(svg.dataset.pitch);
  let count = 0;
  for (const row of table.tBodies[0].rows) {
    const entry = svg.querySelector(`.forest-row[data-arm="${row.dataset.arm}"]`);
    if (!entry || gone.includes(row.dataset.arm)) continue;
    entry.setAttribute("transform", `translate(0 ${top + pitch * count++})`);
  }
  svg.setAttribute("viewBox", `0 0 ${svg.viewBox.baseVal.width} ${top + pitch * count + 8}`);
  svg.querySelector(".lines").setAttribute("height", pitch * count + 8);
}

function fillCell(cell, [text, key, aside, start, width, middle]) {
  const piece = (name, parent, content) => {
    const element = document.createElement(name === "i" || name === "b" ? name : "span");
    if (element.localName === "span") element.className = name;
    if (content) element.textContent = content;
    parent.append(element);
    return element;
  };
  cell.dataset.key = key;
  cell.replaceChildren();
  if (middle !== undefined) {
    const span = piece("span", cell);
    span.setAttribute("aria-hidden", "true");
    Object.assign(piece("i", span).style, { left: `${start}%`, width: `${width}%` });
    piece("b", span).style.left = `${middle}%`;
  }
  piece("value", cell, text);
  if (aside) cell.append(" "), piece("aside", cell, aside);
}

/* A figure that there is nothing to draw in is left out. */
function put(id, svg) {
  const place = document.getElementById(id);
  place.innerHTML = svg;
  place.closest("figure").hidden = svg === "";
}

function show() {
  const [m, w] = [document.getElementById("metric").value, document.getElementById("sampling").value];
  const metric = sweep.metrics[m];
  const shown = sweep.shown[`${m} ${w}`];
  for (const row of table.tBodies[0].rows) {
    shown.cells[row.dataset.arm].forEach((content, i) => fillCell(row.cells[i + 1], content));
  }
  document.getElementById("note").textContent = metric.note;
  each(".chosen-metric", (place) => { place.textContent = metric.label; });
  each(".chosen-sampling", (place) => { place.textContent = sweep.samplings[w]; });
  put("forest", shown.forest);
  put("evaluations", metric.evaluations);
  put("flops", shown.flops);
  put("seconds", shown.seconds);
  const sorted = table.querySelector("[aria-sort]");
  if (sorted) sort(sorted);
  showPicks();
  filter();
}

/* Of the samplings, those that the metric was measured in. */
function offerWays() {
  const select = document.getElementById("sampling");
  const there = sweep.metrics[document.getElementById("metric").value].samplings;
  for (const option of select.options) option.hidden = option.disabled = !there.includes(Number(option.value));
  if (!there.includes(Number(select.value))) select.value = there[0];
}

function switches() {
  each("[data-shows]", (button) => {
    button.addEventListener("click", () => {
      each("[data-shows]", (other) => other.setAttribute("aria-pressed", other === button));
      each("[data-learning]", (one) => { one.hidden = one.dataset.learning !== button.dataset.shows; });
    });
  });
}

async function start() {
  sweep = await unpack("state");
  if (many) slots = sweep.picked.map(String);
  document.getElementById("metric").value = sweep.chosen[0];
  document.getElementById("sampling").value = sweep.chosen[1];
  document.getElementById("metric").addEventListener("change", () => { offerWays(); show(); });
  document.getElementById("sampling").addEventListener("change", show);
  document.getElementById("find").addEventListener("input", filter);
  each("[data-axis]", (select) => select.addEventListener("change", filter));
  table.tHead.addEventListener("click", filter);
  document.querySelector("main").addEventListener("click", (event) => {
    const target = event.target.closest("[data-pick], svg .series[data-arm]");
    if (target) pick(target.dataset.pick ?? target.dataset.arm);
  });
  savers();
  switches();
  offerWays();
  show();
}

const ready = start();
