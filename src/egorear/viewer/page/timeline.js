// The curve over all frames: the mean error where there is truth, else the mean confidence. Click or drag to go there.

class Timeline {
  constructor(canvas, recording) {
    this.canvas = canvas;
    this.recording = recording;
    const values = recording.errors_mm || recording.confidence;
    this.title = recording.errors_mm ? "mean error, mm" : "mean confidence";
    this.curve = recording.frame_names.map((_, frame) => meanOf(recording, values, frame));
    this.top = recording.errors_mm ? 1.05 * this.curve.reduce((a, b) => (b > a ? b : a), 1) : 1;
    this.starts = recording.frame_names.flatMap((name, frame, names) =>
      frame && sequenceOf(name) !== sequenceOf(names[frame - 1]) ? [frame] : []);
  }

  // The frame at a pixel of the page from the canvas's left edge.
  frameAt(x) {
    const share = x / Math.max(1, this.canvas.clientWidth);
    return Math.min(this.recording.frames - 1, Math.max(0, Math.round(share * (this.recording.frames - 1))));
  }

  // The largest error or smallest confidence of some frames, NaN where none is known.
  worst(from, to) {
    const [sign, values] = [this.recording.errors_mm ? 1 : -1, this.curve.slice(from, to).filter(Number.isFinite)];
    return values.length ? sign * Math.max(...values.map((value) => sign * value)) : NaN;
  }

  draw(frame) {
    const { context, width, height, unit } = fitted(this.canvas);
    const bucket = Math.ceil(this.recording.frames / Math.max(1, width)); // frames to a pixel: the worst of them is shown
    const column = (at) => (this.recording.frames > 1 ? (at / (this.recording.frames - 1)) * width : width / 2);
    const row = (value) => height - 2 * unit - (value / this.top) * (height - 6 * unit);
    context.clearRect(0, 0, width, height);
    context.strokeStyle = "#333947";
    context.lineWidth = unit;
    const apart = width / Math.max(1, this.starts.length) > 8 * unit; // else there is nothing to see but them
    for (const start of apart ? this.starts : []) vertical(context, column(start - 0.5), height);
    context.strokeStyle = this.recording.errors_mm ? this.recording.colors.truth : "#b9a7ff";
    context.lineWidth = 1.5 * unit;
    context.beginPath();
    let drawn = false;
    for (let at = 0; at < this.recording.frames; at += bucket) {
      const value = this.worst(at, at + bucket);
      if (Number.isFinite(value)) drawn ? context.lineTo(column(at), row(value)) : context.moveTo(column(at), row(value));
      drawn = Number.isFinite(value);
    }
    context.stroke();
    context.strokeStyle = "#ffdd57";
    vertical(context, column(frame), height);
    if (Number.isFinite(this.curve[frame])) disc(context, [column(frame), row(this.curve[frame])], 4 * unit, "#ffdd57");
    context.fillStyle = "#a3abba";
    context.font = `${11 * unit}px system-ui, sans-serif`;
    context.textBaseline = "top";
    context.fillText(`${this.title} (top: ${this.top < 2 ? this.top : Math.round(this.top)})`, 4 * unit, 2 * unit);
  }
}

function vertical(context, x, height) {
  context.beginPath();
  context.moveTo(x, 0);
  context.lineTo(x, height);
  context.stroke();
}

// What comes before the last "/" of a frame's name.
function sequenceOf(name) {
  return name.slice(0, Math.max(0, name.lastIndexOf("/")));
}
