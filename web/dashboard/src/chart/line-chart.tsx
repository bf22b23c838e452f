import type { ComponentChildren } from "preact";
import { Plot, type Frame } from "./plot";
import type { Unit } from "./scale";

type Point = number | null;

interface Props {
  summary: string;
  labels: string[];
  values: Point[];
  /** The period compared with, drawn dashed. */
  before: Point[] | null;
  /** The last value is of a time that is not over. */
  unfinished: boolean;
  unit: Unit;
  format: (value: number) => string;
  tooltip: (index: number) => ComponentChildren;
  onChoose?: ((index: number) => void) | undefined;
}

const HEIGHT = 250;

/** Values over time as an area, another time dashed behind it. */
export function LineChart({ values, before, unfinished, ...props }: Props) {
  const most = Math.max(0, ...[...values, ...(before ?? [])].map((value) => value ?? 0));
  const last = values.findLastIndex((value) => value !== null);
  const solid = unfinished ? values.map((value, index) => (index === last ? null : value)) : values;
  const open = unfinished && last > 0 ? values.map((value, index) => (index >= last - 1 ? value : null)) : [];
  return (
    <Plot {...props} most={most} height={HEIGHT} last={Math.max(0, last)}>
      {(frame) => (
        <>
          {before && <path class="before" d={line(before, frame)} />}
          <path class="area" d={area(values, frame)} />
          <path class="line" d={line(solid, frame)} />
          <path class="line unfinished" d={line(open, frame)} />
          {frame.at !== null && (
            <g class="here">
              <line x1={frame.x(frame.at)} x2={frame.x(frame.at)} y1={frame.y(0)} y2={12} />
              <Dot class="then" value={before?.[frame.at]} frame={frame} />
              <Dot value={values[frame.at]} frame={frame} />
            </g>
          )}
        </>
      )}
    </Plot>
  );
}

const Dot = ({ value, frame, class: name }: { value: Point | undefined; frame: Frame; class?: string }) =>
  typeof value === "number" ? <circle class={name} cx={frame.x(frame.at ?? 0)} cy={frame.y(value)} r="4" /> : null;

const place = ({ x, y }: Frame, index: number, value: number) => `${x(index).toFixed(1)} ${y(value).toFixed(1)}`;

/** A line through all points; where one is missing it begins anew. A point alone is a dot. */
export function line(values: Point[], frame: Frame): string {
  let path = "";
  values.forEach((value, index) => {
    if (value === null) return;
    const joined = typeof values[index - 1] === "number";
    path += (joined ? "L" : "M") + place(frame, index, value);
    if (!joined && typeof values[index + 1] !== "number") path += "h.1";
  });
  return path;
}

/** The area below each unbroken run of points. */
export function area(values: Point[], frame: Frame): string {
  let path = "";
  values.forEach((value, index) => {
    if (value === null) return;
    path += typeof values[index - 1] === "number" ? "L" : `M${place(frame, index, 0)}L`;
    path += place(frame, index, value);
    if (typeof values[index + 1] !== "number") path += `L${place(frame, index, 0)}z`;
  });
  return path;
}
