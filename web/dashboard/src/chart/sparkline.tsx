import { area, line } from "./line-chart";

const WIDTH = 160;
const HEIGHT = 36;
const EDGE = 2;

/**
 * The course of a few values over a time of which the part `passed` is over, 1 being all of it: what lies ahead is
 * left out, what goes on is dotted. Figures beside it say what it shows.
 */
export function Sparkline({ values: all, passed }: { values: number[]; passed: number }) {
  const count = all.length;
  const values = all.slice(0, Math.max(0, Math.ceil(count * passed)));
  const last = values.length - 1;
  const solid = passed < 1 ? values.slice(0, -1) : values;
  const open = passed < 1 ? values.map((value, index) => (index < last - 1 ? null : value)) : [];
  const most = Math.max(1, ...values);
  const frame = {
    x: (index: number) => (count > 1 ? (index * WIDTH) / (count - 1) : WIDTH / 2),
    y: (value: number) => HEIGHT - EDGE - ((HEIGHT - 2 * EDGE) * value) / most,
    band: 0,
    at: null,
  };
  const still = values.every((value) => value === 0);
  return (
    <svg class={`sparkline ${still ? "still" : ""}`} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      <path class="area" d={area(values, frame)} />
      <path class="line" d={line(solid, frame)} />
      <path class="line unfinished" d={line(open, frame)} />
    </svg>
  );
}
