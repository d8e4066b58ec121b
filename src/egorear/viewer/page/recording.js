// The recording as Python embedded it (viewer/html.py), its numbers as typed arrays.

function readRecording(text) {
  const recording = JSON.parse(text);
  for (const name of ["joints", "confidence", "truth", "errors_mm", "T_device_camera"]) {
    if (recording[name] !== null) recording[name] = floats(recording[name]);
  }
  recording.frames = recording.frame_names.length;
  recording.duration = durations(recording.timestamps);
  return recording;
}

function floats(text) {
  return new Float32Array(Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0)).buffer);
}

// How long each frame stays, seconds: to the next one; the usual time at a gap, a step back in time and the end.
function durations(timestamps) {
  const steps = timestamps.slice(1).map((time, index) => time - timestamps[index]);
  const usual = median(steps.filter((step) => step > 0)) || 1;
  return [...steps.map((step) => (step > 0 && step < 5 * usual ? step : usual)), usual];
}

function median(values) {
  return values.length ? [...values].sort((a, b) => a - b)[values.length >> 1] : 0;
}

// Joint `joint` of `values` (frames x joints x 3) in a frame, or null where it is not known.
function pointOf(recording, values, frame, joint) {
  const at = 3 * (frame * recording.joint_names.length + joint);
  const point = [values[at], values[at + 1], values[at + 2]];
  return point.every(Number.isFinite) ? point : null;
}

// One number a joint, averaged over the joints of a frame that have it; NaN if none has.
function meanOf(recording, values, frame) {
  const joints = recording.joint_names.length;
  const known = [...values.subarray(frame * joints, (frame + 1) * joints)].filter(Number.isFinite);
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : NaN;
}

// From red (a guess) to white (sure): by lightness, so that it is told apart without seeing colours.
function confidenceColor(confidence) {
  const sure = Math.min(1, Math.max(0, confidence));
  const mix = (low, high) => Math.round(low + (high - low) * sure);
  return `rgb(${mix(214, 245)}, ${mix(24, 246)}, ${mix(50, 248)})`;
}
