/** Round numbers from 0 to at least `most`, about `count` of them. Durations go by minutes and hours. */
export function ticks(most: number, count: number, inSeconds: boolean): number[] {
  const step = niceStep(Math.max(most, 1) / count, inSeconds);
  const found: number[] = [];
  for (let value = 0; value < most + step && found.length < 12; value += step) found.push(value);
  return found;
}

const SECONDS = [1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];

function niceStep(rough: number, inSeconds: boolean): number {
  const known = inSeconds ? SECONDS.find((step) => step >= rough) : undefined;
  if (known) return known;
  const power = 10 ** Math.floor(Math.log10(rough));
  return Math.max(([1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power, inSeconds ? 1 : 0);
}

/** Every how many labels of `width` fit side by side over `length`. */
export const labelStep = (count: number, length: number, width: number) =>
  Math.max(1, Math.ceil(count / Math.max(1, Math.floor(length / width))));
