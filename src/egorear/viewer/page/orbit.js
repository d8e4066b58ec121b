// The eye: it goes around a target, the head up. Points are metres in the device frame (x right, y backward, z down).

class Orbit {
  constructor(target, distance) {
    this.home = { target, distance, yaw: 0.6, pitch: 0.2 };
    this.reset();
  }

  // yaw: 0 looks at the wearer's face, a quarter turn from the wearer's right. pitch: above the horizon.
  reset(look = {}) {
    Object.assign(this, this.home, look);
    this.target = [...this.home.target];
  }

  turn(dx, dy) {
    this.yaw += dx;
    this.pitch = Math.min(1.55, Math.max(-1.55, this.pitch + dy));
  }

  zoom(factor) {
    this.distance = Math.min(30, Math.max(0.2, this.distance * factor));
  }

  // By pixels of a canvas of that height.
  move(dx, dy, height) {
    const metres = this.distance / (FOCAL * height);
    const { side, up } = this.axes();
    this.target = this.target.map((value, axis) => value + metres * (dy * up[axis] - dx * side[axis]));
  }

  axes() {
    const [sy, cy, sp, cp] = [Math.sin(this.yaw), Math.cos(this.yaw), Math.sin(this.pitch), Math.cos(this.pitch)];
    return { look: [-cp * sy, cp * cy, sp], side: [-cy, -sy, 0], up: [-sp * sy, sp * cy, -cp] };
  }

  // A function from points to [x, y, depth] in pixels and metres; null behind the eye.
  lens(width, height) {
    const { look, side, up } = this.axes();
    const focal = FOCAL * height;
    return (point) => {
      const from = point.map((value, axis) => value - this.target[axis]);
      const depth = dot(from, look) + this.distance;
      if (depth < NEAR) return null;
      return [width / 2 + (focal * dot(from, side)) / depth, height / 2 - (focal * dot(from, up)) / depth, depth];
    };
  }
}

const FOCAL = 1.3; // of the canvas's height
const NEAR = 0.05;

function dot(a, b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}
