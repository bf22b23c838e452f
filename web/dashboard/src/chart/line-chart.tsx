import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { labelStep, ticks } from "./scale";
import { useWidth } from "./use-width";

type Point = number | null;

interface Props {
  /** What a screen reader says of it. */
  summary: string;
  labels: string[];
  values: Point[];
  /** The period compared with, drawn dashed. */
  before: Point[] | null;
  /** The last value is of a time that is not over. */
  unfinished: boolean;
  inSeconds: boolean;
  format: (value: number) => string;
  tooltip: (index: number) => ComponentChildren;
  /** Called with the point that was clicked, or chosen with Enter. */
  onChoose?: ((index: number) => void) | undefined;
}

const HEIGHT = 250;
const TOP = 12;
const BOTTOM = 26;
const LABEL_WIDTH = 76;

/** Values over time as an area, another time dashed behind it. Arrow keys move from point to point. */
export function LineChart({ summary, labels, values, before, unfinished, inSeconds, format, tooltip, onChoose }: Props) {
  const [box, width] = useWidth<HTMLDivElement>();
  const [at, setAt] = useState<number | null>(null);
  const most = Math.max(1, ...[...values, ...(before ?? [])].map((value) => value ?? 0));
  const marks = ticks(most, 4, inSeconds);
  const top = marks.at(-1) ?? 1;
  const left = Math.max(...marks.map((mark) => format(mark).length)) * 7 + 12;
  const plot = Math.max(0, width - left - 10);
  const x = (index: number) => left + (labels.length > 1 ? (plot * index) / (labels.length - 1) : plot / 2);
  const y = (value: number) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
  const index = at === null ? null : Math.min(at, labels.length - 1);
  const every = labelStep(labels.length, plot, LABEL_WIDTH);
  const lastValue = values.findLastIndex((value) => value !== null);
  const solid = unfinished ? values.map((value, i) => (i === lastValue ? null : value)) : values;
  const open = unfinished && lastValue > 0 ? values.map((value, i) => (i >= lastValue - 1 ? value : null)) : [];

  const nearest = (event: PointerEvent) => {
    const rect = (event.currentTarget as Element).getBoundingClientRect();
    const share = (event.clientX - rect.left - left) / Math.max(1, plot);
    setAt(Math.min(labels.length - 1, Math.max(0, Math.round(share * (labels.length - 1)))));
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) {
      event.preventDefault();
      setAt(Math.min(labels.length - 1, Math.max(0, at === null ? lastValue : at + step)));
    } else if (event.key === "Enter" && index !== null) onChoose?.(index);
    else if (event.key === "Escape") setAt(null);
  };

  return (
    <div
      class="chart"
      ref={box}
      tabIndex={0}
      role="group"
      aria-label={`${summary} Arrow keys move from point to point.`}
      onKeyDown={onKeyDown}
      onBlur={() => setAt(null)}
    >
      {width > 0 && (
        <svg
          width={width}
          height={HEIGHT}
          role="img"
          aria-label={summary}
          class={onChoose ? "choosable" : ""}
          onPointerMove={nearest}
          onPointerDown={nearest}
          onPointerLeave={() => setAt(null)}
          onClick={() => index !== null && onChoose?.(index)}
        >
          {marks.map((mark) => (
            <g key={mark}>
              <line class="grid" x1={left} x2={width - 10} y1={y(mark)} y2={y(mark)} />
              <text x={left - 8} y={y(mark) + 4} text-anchor="end">
                {format(mark)}
              </text>
            </g>
          ))}
          {labels.map(
            (label, i) =>
              i % every === 0 && (
                <text key={i} x={x(i)} y={HEIGHT - 6} text-anchor={i === 0 && plot > 0 ? "start" : x(i) > width - 40 ? "end" : "middle"}>
                  {label}
                </text>
              ),
          )}
          {before && <path class="before" d={line(before, x, y)} />}
          <path class="area" d={area(values, x, y)} />
          <path class="line" d={line(solid, x, y)} />
          <path class="line unfinished" d={line(open, x, y)} />
          {index !== null && (
            <g class="here">
              <line x1={x(index)} x2={x(index)} y1={TOP} y2={HEIGHT - BOTTOM} />
              {typeof before?.[index] === "number" && <circle class="then" cx={x(index)} cy={y(before[index] as number)} r="3.5" />}
              {typeof values[index] === "number" && <circle cx={x(index)} cy={y(values[index] as number)} r="4.5" />}
            </g>
          )}
        </svg>
      )}
      <div
        class="tooltip"
        role="status"
        hidden={index === null}
        style={index === null ? {} : x(index) > width / 2 ? { right: `${width - x(index) + 12}px`, left: "auto" } : { left: `${x(index) + 12}px`, right: "auto" }}
      >
        {index !== null && tooltip(index)}
      </div>
    </div>
  );
}

type Scale = (value: number) => number;

/** A line through all points; where one is missing it begins anew. A point alone is a short dash. */
function line(values: Point[], x: Scale, y: Scale): string {
  let path = "";
  values.forEach((value, index) => {
    if (value === null) return;
    const joined = typeof values[index - 1] === "number";
    path += `${joined ? "L" : "M"}${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
    if (!joined && typeof values[index + 1] !== "number") path += "h.1";
  });
  return path;
}

/** The area below each unbroken run of points. */
function area(values: Point[], x: Scale, y: Scale): string {
  let path = "";
  values.forEach((value, index) => {
    if (value === null) return;
    const place = `${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
    path += typeof values[index - 1] === "number" ? `L${place}` : `M${x(index).toFixed(1)} ${y(0)}L${place}`;
    if (typeof values[index + 1] !== "number") path += `L${x(index).toFixed(1)} ${y(0)}z`;
  });
  return path;
}
