// What is on the air: a painted fan zone, a crowd before a screen with a match,
// that stands in for the video of a real room. The crowd jumps higher the more
// is said.

const frame = 1000 / 30; // ms
const beams = 8;
const bars = 48;
const sparks = 70;
const players = 22;

export class Scene {
  #canvas;
  #ctx;
  #width = 0;
  #height = 0;
  #energy = 0.15; // 0 calm, 1 wild
  #last = 0;
  #time = 0;
  #crowd = [];
  #still = matchMedia('(prefers-reduced-motion: reduce)');

  constructor(canvas) {
    this.#canvas = canvas;
    this.#ctx = canvas.getContext('2d', { alpha: false });
    new ResizeObserver(() => this.#measure()).observe(canvas);
    this.#measure();
    requestAnimationFrame((now) => this.#tick(now));
  }

  /** Something was said: the crowd warms up. */
  cheer(amount = 1) {
    this.#energy = Math.min(1, this.#energy + 0.035 * amount);
  }

  #measure() {
    const scale = Math.min(devicePixelRatio, 1.5);
    this.#width = Math.max(1, this.#canvas.clientWidth);
    this.#height = Math.max(1, this.#canvas.clientHeight);
    this.#canvas.width = this.#width * scale;
    this.#canvas.height = this.#height * scale;
    this.#ctx.setTransform(scale, 0, 0, scale, 0, 0);
    this.#crowd = gather(this.#width, this.#height);
    this.#draw();
  }

  #tick(now) {
    const passed = now - this.#last;
    if (passed >= frame) {
      this.#last = now;
      const step = Math.min(passed, 100) / 1000;
      this.#energy = Math.max(0.12, this.#energy * Math.exp(-step / 6));
      if (!this.#still.matches) {
        this.#time += step * (0.7 + 0.6 * this.#energy);
        this.#draw();
      }
    }
    requestAnimationFrame((next) => this.#tick(next));
  }

  #draw() {
    this.#drawHall();
    this.#drawWall();
    this.#drawMatch();
    this.#drawBeams();
    this.#drawSparks();
    this.#drawCrowd();
  }

  #drawHall() {
    const { width: w, height: h, ctx } = this.#frame();
    const sky = ctx.createLinearGradient(0, 0, 0, h);
    sky.addColorStop(0, '#070918');
    sky.addColorStop(0.55, '#1b1145');
    sky.addColorStop(0.8, '#43175f');
    sky.addColorStop(1, '#160a26');
    ctx.fillStyle = sky;
    ctx.fillRect(0, 0, w, h);
    const glow = ctx.createRadialGradient(w / 2, h * 0.72, 0, w / 2, h * 0.72, w * 0.6);
    glow.addColorStop(0, `hsl(${this.#hue(0)} 90% 62% / ${0.35 + 0.3 * this.#energy})`);
    glow.addColorStop(1, 'hsl(260 90% 40% / 0)');
    ctx.fillStyle = glow;
    ctx.fillRect(0, 0, w, h);
  }

  // The walls of lights beside the screen, and their reflection on the floor.
  #drawWall() {
    const { width: w, height: h, ctx } = this.#frame();
    const floor = h * 0.76;
    const screen = this.#screen();
    const step = Math.min(w, h * 2.2) / bars;
    for (let i = 0; i < bars; i++) {
      const x = w / 2 + (i - bars / 2) * step;
      if (x + step > screen.x - step && x < screen.x + screen.width + step) continue;
      const t = this.#time * 2.1;
      const wave = Math.abs(Math.sin(t + i * 0.37) * Math.cos(t * 0.61 - i * 0.23) + 0.4 * Math.sin(t * 1.7 + i * 1.1));
      const tall = h * (0.05 + wave * (0.12 + 0.22 * this.#energy));
      const hue = this.#hue((i - bars / 2) * 2);
      ctx.fillStyle = `hsl(${hue} 95% 66% / 0.8)`;
      ctx.fillRect(x, floor - tall, step * 0.55, tall);
      ctx.fillStyle = `hsl(${hue} 95% 66% / 0.15)`;
      ctx.fillRect(x, floor + 2, step * 0.55, tall * 0.6);
    }
  }

  #screen() {
    const height = this.#height * 0.56;
    const width = Math.min(height * 1.55, this.#width * 0.62);
    return { x: (this.#width - width) / 2, y: this.#height * 0.17, width, height };
  }

  // The match on the screen, from above.
  #drawMatch() {
    const { ctx } = this.#frame();
    const { x, y, width, height } = this.#screen();
    ctx.save();
    ctx.shadowColor = `hsl(${this.#hue(0)} 90% 65% / ${0.5 + 0.5 * this.#energy})`;
    ctx.shadowBlur = height * 0.12;
    ctx.fillStyle = '#0c0f1c';
    ctx.fillRect(x - 5, y - 5, width + 10, height + 10);
    ctx.restore();
    ctx.save();
    ctx.beginPath();
    ctx.rect(x, y, width, height);
    ctx.clip();
    ctx.translate(x, y);
    drawPitch(ctx, width, height);
    this.#drawPlayers(width, height);
    ctx.restore();
  }

  #drawPlayers(width, height) {
    const { ctx } = this.#frame();
    const t = this.#time * 0.5;
    const ball = [0.5 + 0.36 * Math.sin(t * 0.83) + 0.08 * Math.sin(t * 2.9), 0.5 + 0.3 * Math.sin(t * 1.27 + 1) + 0.08 * Math.cos(t * 3.7)];
    for (let i = 0; i < players; i++) {
      const home = i % 2 === 0;
      // Everybody has a place, and leans to the ball: the more so, the closer.
      const own = home ? noise(i) * 0.62 + 0.06 : 0.94 - noise(i) * 0.62;
      let px = own + 0.05 * Math.sin(t * (0.8 + noise(i * 2)) + i);
      let py = 0.08 + 0.84 * noise(i * 3.7) + 0.06 * Math.cos(t * (0.7 + noise(i * 5)) + i);
      const pull = 0.55 * Math.exp(-6 * Math.hypot(px - ball[0], py - ball[1]));
      px += (ball[0] - px) * (0.12 + pull);
      py += (ball[1] - py) * pull;
      dot(ctx, px * width, py * height, height * 0.022, home ? '#ff5c8a' : '#5cc8ff');
    }
    dot(ctx, ball[0] * width, ball[1] * height, height * 0.014, '#fff');
  }

  // Light from the rig above, sweeping.
  #drawBeams() {
    const { width: w, height: h, ctx } = this.#frame();
    ctx.globalCompositeOperation = 'lighter';
    for (let i = 0; i < beams; i++) {
      const x = (w * (i + 0.5)) / beams;
      const angle = 0.62 * Math.sin(this.#time * (0.45 + 0.05 * (i % 3)) + i * 1.9);
      const length = h * 1.05;
      const end = x + Math.sin(angle) * length;
      const spread = h * 0.085;
      const light = ctx.createLinearGradient(x, 0, end, length);
      const hue = this.#hue(i * 23 - 80);
      light.addColorStop(0, `hsl(${hue} 100% 72% / ${0.26 + 0.2 * this.#energy})`);
      light.addColorStop(1, `hsl(${hue} 100% 60% / 0)`);
      ctx.fillStyle = light;
      ctx.beginPath();
      ctx.moveTo(x - 2, 0);
      ctx.lineTo(x + 2, 0);
      ctx.lineTo(end + spread, length);
      ctx.lineTo(end - spread, length);
      ctx.fill();
    }
    ctx.globalCompositeOperation = 'source-over';
  }

  #drawSparks() {
    const { width: w, height: h, ctx } = this.#frame();
    for (let i = 0; i < sparks; i++) {
      const speed = 0.02 + 0.03 * noise(i);
      const y = 1 - ((noise(i + 0.5) + this.#time * speed) % 1);
      const x = noise(i * 3.1) + 0.02 * Math.sin(this.#time + i);
      ctx.fillStyle = `rgb(255 240 255 / ${0.5 * y * noise(i * 7.7)})`;
      ctx.beginPath();
      ctx.arc(x * w, y * h * 0.9, 0.6 + 1.4 * noise(i * 1.7), 0, 7);
      ctx.fill();
    }
  }

  #drawCrowd() {
    const { height: h, ctx } = this.#frame();
    for (const { x, size, row, phase, arms } of this.#crowd) {
      const jump = Math.abs(Math.sin(this.#time * 3.6 + phase)) * h * (0.008 + 0.04 * this.#energy);
      const y = h * (0.865 + row * 0.06) - jump;
      ctx.fillStyle = ctx.strokeStyle = ['#1d0f38', '#120a25', '#080512'][row];
      ctx.beginPath();
      ctx.arc(x, y, size, 0, 7);
      ctx.fill();
      ctx.beginPath();
      ctx.ellipse(x, y + size * 2.9, size * 1.7, size * 2, 0, 0, 7);
      ctx.fill();
      if (!arms) continue;
      const sway = size * Math.sin(this.#time * 3.6 + phase);
      ctx.lineWidth = size * 0.55;
      ctx.lineCap = 'round';
      ctx.beginPath();
      ctx.moveTo(x - size * 1.3, y + size * 1.6);
      ctx.lineTo(x - size * 1.5 + sway, y - size * 2.2);
      ctx.moveTo(x + size * 1.3, y + size * 1.6);
      ctx.lineTo(x + size * 1.5 + sway, y - size * 2.2);
      ctx.stroke();
    }
  }

  #frame() {
    return { width: this.#width, height: this.#height, ctx: this.#ctx };
  }

  #hue(offset) {
    return (((300 + 45 * Math.sin(this.#time * 0.21) + offset) % 360) + 360) % 360;
  }
}

function drawPitch(ctx, width, height) {
  for (let i = 0; i < 12; i++) {
    ctx.fillStyle = i % 2 ? '#1d7a46' : '#1a6e3f';
    ctx.fillRect((i * width) / 12, 0, width / 12 + 1, height);
  }
  ctx.strokeStyle = 'rgb(255 255 255 / 0.65)';
  ctx.lineWidth = Math.max(1, height * 0.006);
  const edge = height * 0.05;
  const box = height * 0.26;
  ctx.strokeRect(edge, edge, width - 2 * edge, height - 2 * edge);
  ctx.strokeRect(edge, height / 2 - box, box * 0.75, box * 2);
  ctx.strokeRect(width - edge - box * 0.75, height / 2 - box, box * 0.75, box * 2);
  ctx.beginPath();
  ctx.moveTo(width / 2, edge);
  ctx.lineTo(width / 2, height - edge);
  ctx.moveTo(width / 2 + height * 0.15, height / 2);
  ctx.arc(width / 2, height / 2, height * 0.15, 0, 2 * Math.PI);
  ctx.stroke();
  const shade = ctx.createLinearGradient(0, 0, 0, height);
  shade.addColorStop(0, 'rgb(4 6 30 / 0.5)');
  shade.addColorStop(0.5, 'rgb(4 6 30 / 0.15)');
  shade.addColorStop(1, 'rgb(4 6 30 / 0.45)');
  ctx.fillStyle = shade;
  ctx.fillRect(0, 0, width, height);
}

function dot(ctx, x, y, radius, color) {
  ctx.fillStyle = 'rgb(0 0 0 / 0.35)';
  ctx.beginPath();
  ctx.arc(x + radius * 0.4, y + radius * 0.6, radius, 0, 7);
  ctx.fill();
  ctx.fillStyle = color;
  ctx.beginPath();
  ctx.arc(x, y, radius, 0, 7);
  ctx.fill();
}

// Places the people before the stage, the last row first.
function gather(width, height) {
  const people = [];
  for (let row = 0; row < 3; row++) {
    const size = height * (0.017 + row * 0.006);
    for (let x = -size, i = row * 100; x < width + size; x += size * (2.9 + noise(i)), i++) {
      people.push({ x, row, size: size * (0.9 + 0.25 * noise(i * 2.3)), phase: 6.3 * noise(i * 5.1), arms: noise(i * 9.7) < 0.3 });
    }
  }
  return people;
}

// A number from 0 to 1 that is always the same for n.
function noise(n) {
  const x = Math.sin(n * 127.1 + 311.7) * 43758.5453;
  return x - Math.floor(x);
}
