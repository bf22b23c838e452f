/** Time spent and depth scrolled: only while the page is visible, and at most 30 s after the last input. */
import { on } from "./listen.js";
import { record } from "./record.js";

const IDLE_AFTER = 3e4;
// Less is no reading, and a page that hides reports twice within it (pagehide, visibilitychange).
const SHORTEST = 99;

let visible: boolean;
let last: number;
let spent = 0;
let depth = 0;

const tick = (): void => {
  const now = performance.now();
  if (visible) spent += Math.min(now - last, IDLE_AFTER);
  last = now;
  depth = Math.max(
    depth,
    Math.min(100, Math.round(((scrollY + innerHeight) / document.documentElement.scrollHeight) * 100)),
  );
};

/** Reports what has gathered, and begins anew. */
export const report = (): void => {
  tick();
  if (spent > SHORTEST) record("time_spent", { duration_ms: Math.round(spent), scroll_depth: depth });
  spent = depth = 0;
  visible = !document.hidden;
};

export const watchAttention = (): void => on("scroll keydown pointerdown pointermove", tick);
