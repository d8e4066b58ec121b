// node page_stub.js PAGE.html #ANCHOR [look]: runs a page of `egorear view` in a browser that is only as much of one as
// the page touches. Prints as JSON what a user would see after a few deeds; throws if the page throws, or draws at a
// place that is no number.

const { readFileSync } = require("node:fs");
const vm = require("node:vm");

const html = readFileSync(process.argv[2], "utf8");
const between = (from, to) => html.slice(html.indexOf(from) + from.length, html.indexOf(to, html.indexOf(from)));
const calls = {};
const context = new Proxy({}, {
  get: (_, name) => (...values) => {
    calls[name] = (calls[name] ?? 0) + 1;
    for (const value of values) {
      if (typeof value === "number" && !Number.isFinite(value)) throw new Error(`${name} at ${values}`);
    }
  },
  set: () => true,
});
const element = (tag) => ({
  tagName: tag.toUpperCase(), style: {}, children: [], listeners: {}, clientWidth: 800, clientHeight: 600,
  append(child) { this.children.push(child); },
  addEventListener(type, listener) { this.listeners[type] = listener; },
  setPointerCapture() {},
  getContext: () => context,
});
const byId = {};
for (const [, tag, id] of html.matchAll(/<(\w+)[^>]* id="(\w+)"/g)) byId[id] ??= element(tag);
byId.recording.textContent = between('<script type="application/json" id="recording">', "</script>");
byId.speed.value = 1;
const frames = [];
const page = {
  document: { getElementById: (id) => byId[id] ?? null, createElement: element },
  window: { ...element("window"), devicePixelRatio: 2, location: { hash: process.argv[3] ?? "" } },
  requestAnimationFrame: (draw) => frames.push(draw),
  atob,
};
let now = 0;
const draw = (milliseconds = 16) => {
  now += milliseconds;
  frames.splice(0).forEach((each) => each(now));
};
const key = (name) => {
  page.window.listeners.keydown({ key: name, target: byId.stage, preventDefault() {} });
  draw();
};
const seen = () => ({
  frame: byId.frame.textContent, which: byId.which.textContent, hint: byId.hint.textContent,
  pictures: byId.pictures.children.map((figure) => figure.children[0].src),
  table: byId.joints.children.map(({ children: [name, cell, error] }) =>
    [name.textContent, cell.children[1].textContent, error.hidden ? null : error.textContent]),
});

vm.runInNewContext(between("<script>", "</script>"), page);
draw();
const told = { opened: byId.frame.textContent, title: byId.title.textContent, about: byId.about.textContent, };
key("Home");
told.first = seen();
const count = Number(byId.slider.max) + 1;
for (let frame = 1; frame < count; frame++) key("ArrowRight");
told.last = seen();
key("Home");
byId.play.onclick();
draw();
draw(1500);
told.after_1500_ms = seen();
key(" ");
for (const look of byId.looks.children) look.onclick();
for (const { children: [box] } of byId.layers.children) {
  box.checked = !box.checked;
  box.onchange();
  draw();
}
byId.stage.onpointermove({ buttons: 1, movementX: 31, movementY: -400, offsetX: 0, offsetY: 0 });
byId.stage.onpointermove({ buttons: 1, shiftKey: true, movementX: 5, movementY: 9, offsetX: 0, offsetY: 0 });
byId.stage.listeners.wheel({ deltaY: -9000, preventDefault() {} });
draw();
byId.stage.ondblclick();
byId.layers.children[0].children[0].checked = true;
byId.layers.children[0].children[0].onchange();
draw();
// Where the pointer finds each joint, by viewpoint: the middle of the places.
const places = () => {
  const found = {};
  for (let x = 0; x < 800; x += 10) {
    for (let y = 0; y < 600; y += 10) {
      byId.stage.onpointermove({ buttons: 0, offsetX: x, offsetY: y });
      draw();
      const [name, at] = byId.hint.textContent.split("   ");
      if (!at.startsWith("(")) continue;
      (found[name] ??= []).push([x, y]);
      told.hover = byId.hint.textContent;
    }
  }
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return Object.fromEntries(Object.entries(found).map(([name, at]) => [name, [0, 1].map((i) => mean(at.map((p) => p[i])))]));
};
told.places = {};
for (const look of process.argv[4] === "look" ? byId.looks.children : []) {
  look.onclick();
  draw();
  told.places[look.textContent] = places();
}
told.calls = calls;
console.log(JSON.stringify(told));
