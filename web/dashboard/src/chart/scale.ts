/** What an axis counts: things, of which there are no halves; seconds, which go by minutes and hours; or a rate. */
export type Unit = "whole" | "seconds" | "rate";

/** Round numbers from 0 to at least `most`, about `count` of them. */
export function ticks(most: number, count: number, unit: Unit): number[] {
  const step = niceStep(Math.max(most, 1) / count, unit);
  const found: number[] = [];
  for (let value = 0; value < most + step && found.length < 12; value += step) found.push(value);
  return found;
}

const SECONDS = [1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];

function niceStep(rough: number, unit: Unit): number {
  const known = unit === "seconds" ? SECONDS.find((step) => step >= rough) : undefined;
  if (known) return known;
  const power = 10 ** Math.floor(Math.log10(rough));
  return Math.max(([1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power, unit === "rate" ? 0 : 1);
}

/** Every how many labels of `width` fit side by side over `length`. */
export const labelStep = (count: number, length: number, width: number) =>
  Math.max(1, Math.ceil(count / Math.max(1, Math.floor(length / width))));
