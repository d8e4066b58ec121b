// Puts the parts together: what the user does changes the state, and the state is drawn.

const LOOKS = { front: [0, 0.1], left: [-Math.PI / 2, 0.05], right: [Math.PI / 2, 0.05], behind: [Math.PI, 0.25], above: [0, 1.5] };
const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 5, 15, 30];
const HINT = "drag: turn   shift + drag: move   wheel: zoom   double click: home";
const find = (id) => document.getElementById(id);
const recording = readRecording(find("recording").textContent);
const space = new Space(find("stage"), recording);
const timeline = new Timeline(find("plot"), recording);
const layers = { pose: true, truth: recording.truth !== null, cameras: recording.lenses.length > 0, axes: true, floor: true, names: false };
const state = { frame: 0, playing: false, elapsed: 0, before: null, picked: -1, asked: false };

function make(parent, tag, properties = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  parent.append(element);
  return element;
}

function redraw() {
  if (state.asked) return;
  state.asked = true;
  requestAnimationFrame((now) => {
    state.asked = false;
    if (state.playing) advance(now);
    space.draw(state.frame, layers, state.picked);
    timeline.draw(state.frame);
    tell();
    if (state.playing) redraw();
  });
}

// Goes on by the time that passed; more than one frame if drawing is slower than the recording.
function advance(now) {
  state.elapsed += state.before === null ? 0 : ((now - state.before) / 1000) * Number(find("speed").value);
  state.before = now;
  for (let hops = 0; state.elapsed >= recording.duration[state.frame] && hops < recording.frames; hops++) {
    state.elapsed -= recording.duration[state.frame];
    state.frame = (state.frame + 1) % recording.frames;
  }
}

function play(playing) {
  Object.assign(state, { playing, elapsed: 0, before: null });
  find("play").textContent = playing ? "Pause" : "Play";
  redraw();
}

function go(frame) {
  state.frame = Math.min(recording.frames - 1, Math.max(0, frame));
  state.elapsed = 0;
  redraw();
}

// Everything that is told in words: the frame, its pictures, the table of joints, the joint under the pointer.
function tell() {
  const { frame } = state;
  const joints = recording.joint_names.length;
  find("slider").value = frame;
  const error = recording.errors_mm ? meanOf(recording, recording.errors_mm, frame) : NaN;
  const off = Number.isFinite(error) ? `   mean error ${error.toFixed(1)} mm` : "";
  find("frame").textContent =
    `frame ${frame + 1} of ${recording.frames}   ${recording.timestamps[frame].toFixed(3)} s   ${recording.frame_names[frame]}${off}`;
  rows.forEach(({ meter, sure, error }, joint) => {
    const confidence = recording.confidence[frame * joints + joint];
    meter.value = confidence;
    sure.textContent = confidence.toFixed(2);
    const off = recording.errors_mm ? recording.errors_mm[frame * joints + joint] : NaN;
    error.textContent = Number.isFinite(off) ? off.toFixed(0) : "-";
  });
  showPictures(frame);
  find("hint").textContent = state.picked < 0 ? HINT : wordsOf(state.picked);
}

// Those of the frame, else, dimmed, the last ones before it (the first ones, where there are none before).
function showPictures(frame) {
  if (!figures.length) return;
  const nearest = pictured.findLast((each) => each <= frame) ?? pictured[0];
  find("pictures").className = nearest === frame ? "" : "old";
  find("which").textContent = nearest === frame ? "" : `pictures of frame ${nearest + 1}: this one has none in the file`;
  for (const { view, image } of figures) {
    const picture = recording.pictures[nearest][view];
    if (image.src !== picture) image.src = picture;
  }
}

function wordsOf(joint) {
  const at = pointOf(recording, recording.joints, state.frame, joint).map((value) => value.toFixed(3)).join(", ");
  const index = state.frame * recording.joint_names.length + joint;
  const off = recording.errors_mm ? recording.errors_mm[index] : NaN;
  const error = Number.isFinite(off) ? `   error ${off.toFixed(0)} mm` : "";
  return `${recording.joint_names[joint]}   (${at}) m   confidence ${recording.confidence[index].toFixed(2)}${error}`;
}

find("title").textContent = recording.title;
find("about").textContent =
  [recording.model_id, `${recording.frames} frames`, `rig ${recording.rig_hash}`, recording.units].join("  ·  ");
find("slider").max = recording.frames - 1;
find("error_head").hidden = !recording.errors_mm;

const rows = recording.joint_names.map((name) => {
  const row = make(find("joints"), "tr");
  make(row, "td", { textContent: name });
  const cell = make(row, "td");
  const meter = make(cell, "meter", { min: 0, max: 1, ariaLabel: `confidence of ${name}` });
  const sure = make(cell, "span");
  return { meter, sure, error: make(row, "td", { hidden: !recording.errors_mm }) };
});

const pictured = Object.keys(recording.pictures).map(Number);
const figures = Object.keys(recording.pictures[pictured[0]] ?? {}).map((view) => {
  const figure = make(find("pictures"), "figure");
  const image = make(figure, "img", { alt: `${view}, with the pose drawn in` });
  make(figure, "figcaption", { textContent: view.replaceAll("_", " ") });
  return { view, image };
});

const entries = [["left", recording.colors.left], ["right", recording.colors.right]];
if (recording.truth) entries.push(["truth", recording.colors.truth]);
entries.push(["joints: confidence 0 to 1", `linear-gradient(90deg, ${confidenceColor(0)}, ${confidenceColor(1)})`]);
entries.push(...AXES.map(({ words, color }) => [words, color]));
for (const [words, color] of entries) {
  const entry = make(find("legend"), "li");
  make(entry, "i").style.background = color;
  make(entry, "span", { textContent: words });
}

for (const [name, [yaw, pitch]] of Object.entries(LOOKS)) {
  make(find("looks"), "button", { textContent: name, onclick: () => (space.orbit.reset({ yaw, pitch }), redraw()) });
}
for (const name of Object.keys(layers)) {
  if ((name === "truth" && !recording.truth) || (name === "cameras" && !recording.lenses.length)) continue;
  const label = make(find("layers"), "label");
  const box = make(label, "input", { type: "checkbox", checked: layers[name] });
  box.onchange = () => ((layers[name] = box.checked), redraw());
  make(label, "span", { textContent: ` ${name}` });
}
for (const speed of SPEEDS) make(find("speed"), "option", { value: speed, textContent: `${speed}x`, selected: speed === 1 });

find("play").onclick = () => play(!state.playing);
find("back").onclick = () => go(state.frame - 1);
find("forward").onclick = () => go(state.frame + 1);
find("slider").oninput = () => go(Number(find("slider").value));
find("plot").onpointerdown = (event) => (find("plot").setPointerCapture(event.pointerId), go(timeline.frameAt(event.offsetX)));
find("plot").onpointermove = (event) => event.buttons && go(timeline.frameAt(event.offsetX));

const stage = find("stage");
stage.onpointerdown = (event) => stage.setPointerCapture(event.pointerId);
stage.onpointermove = (event) => {
  const { movementX: dx, movementY: dy } = event;
  if (!event.buttons) state.picked = space.pick(event.offsetX, event.offsetY);
  else if (event.shiftKey || event.buttons > 1) space.orbit.move(dx, dy, stage.clientHeight);
  else space.orbit.turn(0.008 * dx, 0.008 * dy);
  redraw();
};
stage.oncontextmenu = (event) => event.preventDefault();
stage.ondblclick = () => (space.orbit.reset(), redraw());
stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  space.orbit.zoom(Math.exp(0.0012 * event.deltaY));
  redraw();
}, { passive: false });

const KEYS = {
  " ": () => play(!state.playing),
  ArrowLeft: () => go(state.frame - 1),
  ArrowRight: () => go(state.frame + 1),
  Home: () => go(0),
  End: () => go(recording.frames - 1),
};
window.addEventListener("keydown", (event) => {
  const inControl = ["INPUT", "SELECT", "BUTTON"].includes(event.target.tagName);
  if (inControl || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});
window.addEventListener("resize", redraw);
go(Number.parseInt(window.location.hash.slice(1), 10) - 1 || 0); // page.html#30 opens the 30th frame
