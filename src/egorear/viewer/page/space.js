// Draws one frame in space: floor, device and its cameras, the true pose and the predicted one, far things first.

const GRID = 0.5; // metres
const AXIS = 0.2;
const LENS = 0.09; // how long the rays of a camera are drawn
const AXES = [
  { name: "x", words: "x: right", color: "#ff6b6b", end: [AXIS, 0, 0] },
  { name: "y", words: "y: backward", color: "#69db7c", end: [0, AXIS, 0] },
  { name: "z", words: `z: down (axes ${AXIS} m, floor squares ${GRID} m)`, color: "#74a9ff", end: [0, 0, AXIS] },
];
const ON_TOP = -100; // added to a depth: over everything that has none of it

class Space {
  constructor(canvas, recording) {
    this.canvas = canvas;
    this.recording = recording;
    this.middle = middle(recording);
    this.orbit = new Orbit([this.middle[0], this.middle[1], 0.5 * recording.floor_m], 2.1 * Math.max(1, recording.floor_m));
  }

  draw(frame, layers, picked) {
    const { context, width, height, unit } = fitted(this.canvas);
    const lens = this.orbit.lens(width, height);
    this.strokes = [];
    this.lens = lens;
    if (layers.floor) this.floor();
    if (layers.cameras) this.cameras(frame, layers.names);
    if (layers.axes) this.axes();
    if (layers.truth) this.pose(frame, this.recording.truth, true);
    this.spots = layers.pose ? this.pose(frame, this.recording.joints, false, picked) : [];
    context.clearRect(0, 0, width, height);
    context.lineCap = "round";
    context.textBaseline = "middle";
    this.strokes.sort((a, b) => b.depth - a.depth);
    for (const stroke of this.strokes) stroke.paint(context, unit);
    if (layers.names) this.names(context, unit);
  }

  // The joint within reach of a pixel of the canvas, or -1.
  pick(x, y) {
    const unit = this.canvas.width / Math.max(1, this.canvas.clientWidth);
    const near = (spot) => Math.hypot(spot.at[0] - x * unit, spot.at[1] - y * unit);
    const best = this.spots.reduce((a, b) => (near(b) < near(a) ? b : a), { at: [1e9, 1e9], joint: -1 });
    return near(best) < 14 * unit ? best.joint : -1;
  }

  line(from, to, color, metres, least = 1, behind = 0) {
    const [a, b] = [this.lens(from), this.lens(to)];
    if (!a || !b) return;
    const depth = (a[2] + b[2]) / 2;
    const thick = (FOCAL * this.canvas.height * metres) / depth;
    this.strokes.push({
      depth: depth + behind,
      paint(context, unit) {
        context.strokeStyle = color;
        context.lineWidth = Math.max(least * unit, thick);
        context.beginPath();
        context.moveTo(a[0], a[1]);
        context.lineTo(b[0], b[1]);
        context.stroke();
      },
    });
  }

  text(point, words, color) {
    const at = this.lens(point);
    if (!at) return;
    this.strokes.push({
      depth: at[2] + 2 * ON_TOP,
      paint(context, unit) {
        context.font = `${12 * unit}px system-ui, sans-serif`;
        context.fillStyle = color;
        context.fillText(words, at[0] + 5 * unit, at[1]);
      },
    });
  }

  floor() {
    const [x, y] = this.middle.map((value) => Math.round(value / GRID) * GRID);
    const z = this.recording.floor_m;
    for (let step = -3; step <= 3; step++) {
      for (let part = -3; part < 3; part++) {
        const [from, to] = [part * GRID, (part + 1) * GRID];
        this.line([x + step * GRID, y + from, z], [x + step * GRID, y + to, z], "#333947", 0, 1, 9);
        this.line([x + from, y + step * GRID, z], [x + to, y + step * GRID, z], "#333947", 0, 1, 9);
      }
    }
  }

  axes() {
    for (const { name, color, end } of AXES) {
      this.line([0, 0, 0], end, color, 0.008);
      this.text(end, name, color);
    }
  }

  cameras(frame, named) {
    const { lenses, rig_of_frame, T_device_camera } = this.recording;
    const rig = rig_of_frame[frame];
    if (rig < 0) return;
    lenses.forEach(({ view, outline }, index) => {
      const at = 16 * (rig * lenses.length + index);
      const T = T_device_camera.subarray(at, at + 16);
      const place = (ray, length) => [0, 4, 8].map((row) => length * dot(T.subarray(row), ray) + T[row + 3]);
      const centre = place([0, 0, 0], 0);
      const rim = outline.map((ray) => place(ray, LENS));
      rim.forEach((point, number) => {
        this.line(point, rim[(number + 1) % rim.length], "#b9a7ff", 0.002);
        if (number % 6 === 0) this.line(centre, point, "#6f63a8", 0.001);
      });
      this.line(centre, place([0, 0, 1], 1.6 * LENS), "#b9a7ff", 0.004);
      if (named) this.text(place([0, 0, 1], 1.7 * LENS), view.replaceAll("_", " "), "#b9a7ff");
    });
  }

  // Returns where the joints are on the canvas.
  pose(frame, values, isTruth, picked = -1) {
    const { recording } = this;
    const points = recording.joint_names.map((_, joint) => pointOf(recording, values, frame, joint));
    for (const [start, end, side] of recording.bones) {
      if (!points[start] || !points[end]) continue;
      const color = isTruth ? recording.colors.truth : recording.colors[side];
      if (!isTruth) this.line(points[start], points[end], "#12141a", 0.034, 4, 0.002);
      this.line(points[start], points[end], color, isTruth ? 0.009 : 0.022, isTruth ? 1.2 : 2.5);
    }
    const spots = [];
    points.forEach((point, joint) => {
      const at = point && this.lens(point);
      if (!at || isTruth) return;
      const radius = (FOCAL * this.canvas.height * (joint === picked ? 0.032 : 0.02)) / at[2];
      const fill = confidenceColor(recording.confidence[frame * points.length + joint]);
      spots.push({ joint, at });
      this.strokes.push({ depth: at[2] + ON_TOP, paint: (context, unit) => disc(context, at, Math.max(3 * unit, radius), fill) });
    });
    return spots;
  }

  names(context, unit) {
    context.font = `${11 * unit}px system-ui, sans-serif`;
    context.fillStyle = "#d5dae3";
    for (const { joint, at } of this.spots) {
      context.fillText(this.recording.joint_names[joint], at[0] + 9 * unit, at[1] - 7 * unit);
    }
  }
}

function disc(context, at, radius, fill) {
  for (const [size, color] of [[radius, "#12141a"], [0.8 * radius, fill]]) {
    context.fillStyle = color;
    context.beginPath();
    context.arc(at[0], at[1], size, 0, 2 * Math.PI);
    context.fill();
  }
}

// Where the poses of the recording are on the whole.
function middle({ joints }) {
  const axis = (first) => median(joints.filter((_, index) => index % 3 === first));
  return [axis(0), axis(1), axis(2)];
}

// The canvas at the screen's own resolution; unit: its pixels to one of CSS.
function fitted(canvas) {
  const unit = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(canvas.clientWidth * unit), Math.round(canvas.clientHeight * unit)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  return { context: canvas.getContext("2d"), width, height, unit };
}
