// The canvas of the page: a label map as bytes of label ids, of which the canvas shows the colours and is never read back.
// Gradio calls this with element, props, trigger and watch. props.value is the map: "<height>x<width>:<bytes, zlib, base64>".

const LIVE_MS = 300; // between two maps that are sent while a stroke goes on
const UNDO_BYTES = 64e6;

const find = (selector) => element.querySelector(selector);
const canvas = find("canvas");
const context = canvas.getContext("2d");
const classes = new Map(props.classes.map((entry) => [entry.id, entry]));
const colours = new Uint32Array(256);
for (const { id, colour } of classes.values()) colours[id] = 0xff000000 | (colour[2] << 16) | (colour[1] << 8) | colour[0];

let map = { height: 1, width: 1, ids: new Uint8Array(1) };
let undone = [];
let done = [];
let tool = "brush";
let chosen = props.chosen;
let stroke = null; // while a button is down: where it began, where it is, the map before
let pointer = null; // where the pointer is
let sent = 0; // number of the newest map that is on its way
let timer = null;

// --- Bytes ---------------------------------------------------------------------------------------------------------

const through = async (bytes, transform) =>
  new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(transform)).arrayBuffer());
const packed = (bytes) => through(bytes, new CompressionStream("deflate"));

function toBase64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}

async function fromText(text) {
  const [, height, width, content] = text.match(/^(\d+)x(\d+):(.*)$/);
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  return { height: +height, width: +width, ids: await through(bytes, new DecompressionStream("deflate")) };
}

// A grey PNG of 8 bits: each pixel is its label id.
async function toPng({ height, width, ids }) {
  const rows = new Uint8Array(height * (width + 1)); // each row begins with 0, for no filter
  for (let y = 0; y < height; y++) rows.set(ids.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, 8);
  const parts = [new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10])];
  for (const [name, content] of [["IHDR", new Uint8Array(header.buffer)], ["IDAT", await packed(rows)], ["IEND", new Uint8Array()]]) {
    const chunk = new Uint8Array(12 + content.length);
    const view = new DataView(chunk.buffer);
    view.setUint32(0, content.length);
    chunk.set(new TextEncoder().encode(name), 4);
    chunk.set(content, 8);
    view.setUint32(8 + content.length, checksum(chunk.subarray(4, 8 + content.length)));
    parts.push(chunk);
  }
  return new Blob(parts, { type: "image/png" });
}

function checksum(bytes) {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
  }
  return ~crc >>> 0;
}

// --- Painting: each changes map.ids ----------------------------------------------------------------------------------

function fillRows(ids, value, top, bottom, left, right) {
  const { height, width } = map;
  left = Math.max(left, 0);
  right = Math.min(right, width - 1);
  for (let y = Math.max(top, 0); y <= Math.min(bottom, height - 1); y++)
    if (left <= right) ids.fill(value, y * width + left, y * width + right + 1);
}

function disc(ids, value, x, y, size) {
  const radius = size / 2;
  const middle = size % 2 ? 0 : 0.5; // an even brush lies between pixels
  for (let dy = -Math.ceil(radius); dy <= radius; dy++) {
    const half = radius ** 2 - (dy + middle) ** 2;
    if (half >= 0) fillRows(ids, value, y + dy, y + dy, Math.ceil(x - middle - Math.sqrt(half)), Math.floor(x - middle + Math.sqrt(half)));
  }
}

function line(ids, value, from, to, size) {
  const steps = Math.max(Math.abs(to.x - from.x), Math.abs(to.y - from.y), 1);
  for (let step = 0; step <= steps; step++)
    disc(ids, value, Math.round(from.x + ((to.x - from.x) * step) / steps), Math.round(from.y + ((to.y - from.y) * step) / steps), size);
}

// All pixels of one id that hang together with this one over their sides.
function flood(ids, value, x, y) {
  const { height, width } = map;
  const old = ids[y * width + x];
  if (old === value) return;
  const waiting = [y * width + x];
  while (waiting.length) {
    const at = waiting.pop();
    if (ids[at] !== old) continue;
    const start = at - (at % width);
    let left = at;
    let right = at;
    while (left > start && ids[left - 1] === old) left--;
    while (right < start + width - 1 && ids[right + 1] === old) right++;
    ids.fill(value, left, right + 1);
    for (const row of [-width, width]) {
      if (start + row < 0 || start + row >= height * width) continue;
      for (let here = left + row; here <= right + row; here++)
        if (ids[here] === old && (here === left + row || ids[here - 1] !== old)) waiting.push(here);
    }
  }
}

// --- What is seen ------------------------------------------------------------------------------------------------------

function show() {
  const { height, width, ids } = map;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pixels = new Uint32Array(ids.length);
  for (let at = 0; at < ids.length; at++) pixels[at] = colours[ids[at]];
  context.putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), width, height), 0, 0);
  const size = +find(".size").value;
  if (pointer && tool === "brush" && !stroke) {
    context.beginPath();
    context.arc(pointer.x + (size % 2) / 2, pointer.y + (size % 2) / 2, size / 2, 0, 2 * Math.PI);
    context.strokeStyle = "#fffc";
    context.lineWidth = Math.max(width / canvas.clientWidth, 0.5);
    context.stroke();
  }
  find(".undo").disabled = !done.length;
  find(".redo").disabled = !undone.length;
  find(".tools output").value = size;
  for (const button of element.querySelectorAll("[data-tool]")) button.setAttribute("aria-pressed", button.dataset.tool === tool);
  for (const button of element.querySelectorAll("[data-id]")) button.setAttribute("aria-pressed", +button.dataset.id === chosen);
  const under = pointer && classes.get(ids[pointer.y * width + pointer.x]);
  find(".under").textContent = under
    ? `${under.name} at ${pointer.x}, ${pointer.y}`
    : `${width} x ${height} pixels. Right click takes the class under the pointer.`;
}

// --- Undo, and the map on its way to the server -----------------------------------------------------------------------

function keep(before) {
  done.push(before);
  undone = [];
  while (done.length > 1 && done.reduce((sum, one) => sum + one.ids.length, 0) > UNDO_BYTES) done.shift();
}

function step(from, to) {
  if (stroke || !from.length) return;
  to.push(map);
  map = from.pop();
  show();
  send();
}

async function send() {
  clearTimeout(timer);
  timer = null;
  const number = ++sent;
  const text = `${map.height}x${map.width}:${toBase64(await packed(map.ids.slice()))}`;
  if (number === sent) props.value = text;
}

async function take() {
  const number = ++sent; // what is still on its way is out of date
  const taken = await fromText(props.value);
  if (number !== sent) return;
  clearTimeout(timer);
  timer = stroke = null;
  if (map.ids.length > 1) keep(map);
  map = taken;
  show();
}

// --- The hand ----------------------------------------------------------------------------------------------------------

function place(event) {
  // object-fit: contain leaves bars where the page is too low for the map
  const box = canvas.getBoundingClientRect();
  const scale = Math.min(box.width / map.width, box.height / map.height);
  const x = Math.floor((event.clientX - box.left - (box.width - scale * map.width) / 2) / scale);
  const y = Math.floor((event.clientY - box.top - (box.height - scale * map.height) / 2) / scale);
  return { x, y, inside: x >= 0 && y >= 0 && x < map.width && y < map.height };
}

function choose(id) {
  chosen = id;
  show();
}

function paint(to) {
  const { ids } = map;
  if (tool === "brush") line(ids, chosen, stroke.at, to, +find(".size").value);
  if (tool === "fill" && to.inside) flood(ids, chosen, to.x, to.y);
  if (tool === "rectangle") {
    ids.set(stroke.before.ids);
    const { start } = stroke;
    fillRows(ids, chosen, Math.min(start.y, to.y), Math.max(start.y, to.y), Math.min(start.x, to.x), Math.max(start.x, to.x));
  }
  stroke.at = to;
}

canvas.addEventListener("pointerdown", (event) => {
  const at = place(event);
  pointer = at.inside ? at : null;
  if (event.button === 2 && at.inside) choose(map.ids[at.y * map.width + at.x]);
  if (event.button !== 0 || !at.inside || stroke) return;
  canvas.setPointerCapture(event.pointerId);
  stroke = { start: at, at, before: { ...map, ids: map.ids.slice() } };
  paint(at);
  show();
});
canvas.addEventListener("pointermove", (event) => {
  const at = place(event);
  pointer = at.inside ? at : null;
  if (stroke && tool !== "fill") {
    for (const one of event.getCoalescedEvents?.() ?? [event]) paint(place(one));
    timer ??= setTimeout(send, LIVE_MS);
  }
  show();
});
function end() {
  if (!stroke) return;
  const { before } = stroke;
  stroke = null;
  if (before.ids.some((id, at) => id !== map.ids[at])) {
    keep(before);
    send();
  }
  show();
}
canvas.addEventListener("pointerup", end);
canvas.addEventListener("pointercancel", end);
canvas.addEventListener("pointerleave", () => {
  pointer = null;
  show();
});
canvas.addEventListener("contextmenu", (event) => event.preventDefault());

for (const entry of classes.values()) {
  const button = document.createElement("button");
  const swatch = document.createElement("i");
  swatch.style.background = `rgb(${entry.colour})`;
  button.type = "button";
  button.dataset.id = entry.id;
  button.append(swatch, entry.name);
  button.addEventListener("click", () => choose(entry.id));
  find(entry.more ? ".more" : ".classes").append(button);
}
for (const button of element.querySelectorAll("[data-tool]"))
  button.addEventListener("click", () => {
    tool = button.dataset.tool;
    show();
  });
find(".size").addEventListener("input", show);
find(".undo").addEventListener("click", () => step(done, undone));
find(".redo").addEventListener("click", () => step(undone, done));
find(".save").addEventListener("click", async () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await toPng(map));
  link.download = "label_map.png";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
});
document.addEventListener("keydown", (event) => {
  if (!element.offsetParent || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
  const key = event.key.toLowerCase();
  const size = find(".size");
  if (event.ctrlKey || event.metaKey) {
    if (key === "z") event.shiftKey ? step(undone, done) : step(done, undone);
    else if (key === "y") step(undone, done);
    else return;
    event.preventDefault();
    return;
  }
  if (event.altKey) return;
  tool = { b: "brush", f: "fill", r: "rectangle" }[key] ?? tool;
  if (key === "[") size.stepDown(2);
  if (key === "]") size.stepUp(2);
  show();
});

watch("value", take);
take();
