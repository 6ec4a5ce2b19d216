"use strict";

/* Figures and numbers as files, made from what is in the page. */

function save(name, content, kind) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type: kind }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/* What the page holds compressed. */
async function unpack(id) {
  const text = atob(document.getElementById(id).textContent);
  const packed = new Blob([Uint8Array.from(text, (letter) => letter.charCodeAt(0))]);
  return new Response(packed.stream().pipeThrough(new DecompressionStream("gzip"))).json();
}

function csvCell(value) {
  const text = value === null ? "" : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csvText(table) {
  const columns = table.columns.map((column) =>
    column.words ? column.codes.map((code) => column.words[code]) : column.values);
  const lines = [table.names, ...columns[0].map((_, row) => columns.map((column) => column[row]))];
  return lines.map((line) => line.map(csvCell).join(",") + "\n").join("");
}

const STYLES = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap",
  "stroke-linejoin", "opacity", "font-family", "font-size", "font-weight", "text-anchor"];

/* The figure as a file of its own: the page's styles written into it, in light colours, on white,
   with a legend of the arms that have a colour in it. */
function drawing(svg) {
  const root = document.documentElement;
  const theme = root.dataset.theme;
  root.dataset.theme = "light";
  const copy = svg.cloneNode(true);
  const originals = [svg, ...svg.querySelectorAll("*")];
  const hidden = [];
  [copy, ...copy.querySelectorAll("*")].forEach((element, i) => {
    const style = getComputedStyle(originals[i]);
    if (style.display === "none") hidden.push(element);
    for (const name of STYLES) element.setAttribute(name, style.getPropertyValue(name));
    if (element.localName === "text") element.setAttribute("font-size", Math.max(9, parseFloat(style.fontSize)));
    if (element.localName === "circle") element.setAttribute("r", parseFloat(style.r));
    element.removeAttribute("class");
  });
  legendOf(svg, copy);
  hidden.forEach((element) => element.remove());
  if (theme) root.dataset.theme = theme;
  else delete root.dataset.theme;
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return new XMLSerializer().serializeToString(copy);
}

function part(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text) element.textContent = text;
  return element;
}

/* Paper below the figure, and the names of its coloured arms under it. */
function legendOf(svg, copy) {
  const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
  const arms = svg.classList.contains("forest") ? [] : coloured(svg);
  const longest = Math.max(16, ...arms.map(({ name }) => name.length));
  const columns = Math.max(1, Math.floor(width / (40 + 5.6 * longest)));
  const total = height + Math.ceil(arms.length / columns) * 16 + (arms.length ? 8 : 0);
  arms.forEach(({ name, colour, dash }, i) => {
    const x = (i % columns) * (width / columns) + 8;
    const y = height + 12 + 16 * Math.floor(i / columns);
    copy.append(
      part("path", { d: `M${x} ${y - 4}h22`, stroke: colour, "stroke-width": 2.5, "stroke-dasharray": dash, fill: "none" }),
      part("text", { x: x + 28, y, fill: "#1c2029", "font-size": 10.5, "font-family": "Arial, Helvetica, sans-serif" }, name),
    );
  });
  const box = { x: -8, y: -8, width: width + 24, height: total + 12 }; // labels reach beyond the frame
  copy.prepend(part("rect", { ...box, fill: "#ffffff" }));
  copy.setAttribute("viewBox", `${box.x} ${box.y} ${box.width} ${box.height}`);
  copy.setAttribute("width", box.width);
  copy.setAttribute("height", box.height);
}

async function pixels(svgText, scale) {
  const picture = new Image();
  picture.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(svgText);
  await picture.decode();
  const canvas = document.createElement("canvas");
  canvas.width = picture.naturalWidth * scale;
  canvas.height = picture.naturalHeight * scale;
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

function savers() {
  each("[data-save]", (button) => {
    button.addEventListener("click", async () => {
      if (button.dataset.save === "csv") {
        const tables = await unpack("tables");
        return save(`${button.dataset.of}.csv`, csvText(tables[button.dataset.of]), "text/csv");
      }
      const figure = button.closest("figure");
      const svg = [...figure.querySelectorAll("svg.chart")].find((one) => !one.closest("[hidden]"));
      if (!svg) return;
      const name = figure.dataset.name.toLowerCase().replaceAll(" ", "-");
      if (button.dataset.save === "svg") save(`${name}.svg`, drawing(svg), "image/svg+xml");
      else save(`${name}.png`, await pixels(drawing(svg), 3));
    });
  });
}
